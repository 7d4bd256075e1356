"""Write amounts as a person reads them: bytes, counts, rates, times."""

from typing import Final

__all__ = ["age_text", "count_text", "rate_text", "size_text"]

_SIZES: Final = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_COUNTS: Final = ((10**9, "G"), (10**6, "M"), (10**4, "k"))
_TIMES: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def size_text(count: int) -> str:
    """Write a number of bytes, such as ``12.3 MB``."""
    for factor, unit in _SIZES:
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def count_text(count: int) -> str:
    """Write a number in at most six characters, such as ``9999`` or ``12.3k``."""
    for factor, unit in _COUNTS:
        if count >= factor:
            scaled = count / (10**3 if unit == "k" else factor)
            return f"{scaled:.1f}{unit}" if scaled < 100 else f"{scaled:.0f}{unit}"
    return str(count)


def rate_text(per_s: float | None) -> str:
    """Write how much there is in a second; ``-`` if that is not known."""
    if per_s is None:
        return "-"
    if per_s == 0:
        return "0"
    return f"{per_s:.1f}" if per_s < 100 else count_text(round(per_s))


def age_text(seconds: float, *, units: int = 2) -> str:
    """Write a time with its largest units, such as ``3 h 12 min``.

    Args:
        seconds: Parts of a second are left out.
        units: How many units, at most.
    """
    left = int(seconds)
    if left < 1:
        return "0 s"
    first = next(place for place, (_, size) in enumerate(_TIMES) if left >= size)
    parts: list[str] = []
    for unit, size in _TIMES[first : first + units]:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts)
