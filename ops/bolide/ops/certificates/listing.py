"""What an authority has in use, as lines for people."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from bolide.ops.certificates.authority import SOON_DAYS, Authority

__all__ = ["listing", "warnings"]


def listing(authority: Authority, now: datetime) -> Iterator[str]:
    """Yield the authority's certificates, then what they signed and is in use.

    Args:
        authority: Read.
        now: UTC.

    Raises:
        ConfigurationError: If the register or the list of what is denied cannot be read.
    """
    yield f"Cluster {authority.cluster}"
    for number, certificate in enumerate(authority.believed):
        what = "believed only" if number else "signs"
        yield f"  authority {_left(certificate.not_valid_after_utc, now):16} {what}"
    in_use = sorted(authority.in_use(now), key=lambda entry: entry.ends)
    if not in_use:
        yield "  Nothing that was signed is in use."
    for entry in in_use:
        addresses = f"  {' '.join(entry.addresses)}" if entry.addresses else ""
        yield f"  {entry.fingerprint[:12]} {_left(entry.ends, now):16} {entry.identity}{addresses}"


def warnings(authority: Authority, now: datetime) -> Iterator[str]:
    """Yield a line for everything that ends soon.

    Args:
        authority: Read.
        now: UTC.

    Raises:
        ConfigurationError: If the register or the list of what is denied cannot be read.
    """
    ends = authority.believed[0].not_valid_after_utc
    if ends <= now:
        yield "The authority has ended; nothing it signed is believed. Make a new one."
    elif ends - now < timedelta(days=SOON_DAYS["authority"]):
        yield f"The authority ends in {_left(ends, now)}: `bolide ca rotate`."
    if len(authority.believed) > 1:
        yield "A rotation is under way: `bolide ca rotate --finish` when all have new certificates."
    for entry in sorted(authority.in_use(now), key=lambda entry: entry.ends):
        if entry.ends - now < timedelta(days=SOON_DAYS["certificate"]):
            yield f"{entry.identity} ends in {_left(entry.ends, now)}: `bolide ca request`."


def _left(ends: datetime, now: datetime) -> str:
    """Return how long something lasts, as ``29 days``."""
    if ends <= now:
        return "ended"
    hours = int((ends - now) / timedelta(hours=1))
    number, unit = (hours, "hour") if hours < 48 else (hours // 24, "day")
    return f"{number} {unit if number == 1 else unit + 's'}"
