"""What selectors, sorts and modifiers have to do with which fields."""

from collections.abc import Iterable

# Selectors, sorts and projections come from applications and are checked where they compile.
from typing import Any, Final

from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier
from bolide.core.minimongo.paths import Parts, is_array_index, join, split
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document

__all__ = [
    "affected_by_modifier",
    "combine_selector_projection",
    "combine_sort_projection",
    "selector_paths",
]

_POSITIONAL: Final = "$"


def selector_paths(selector: Any) -> frozenset[str]:
    """Return the paths that the answer of a selector depends on.

    Raises:
        MinimongoError: If it is no selector.
    """
    return frozenset(Matcher(selector).paths)


def affected_by_modifier(selector: Any, modifier: Document | Modifier) -> bool:
    """Tell whether a modifier may change what a selector matches; True if in doubt.

    Raises:
        MinimongoError: If one of them does not compile.
    """
    if not isinstance(modifier, Modifier):
        modifier = Modifier(modifier)
    if modifier.is_replacement:
        return True
    changed = [split(path) for path in modifier.paths]
    return any(
        _touches(modified, asked)
        for asked in map(split, selector_paths(selector))
        for modified in changed
    )


def combine_selector_projection(selector: Any, projection: Document | None) -> dict[str, bool]:
    """Return the projection that also keeps the fields a selector looks at.

    Returns:
        Paths with True or, for an exclusion, False; empty: everything is needed.

    Raises:
        MinimongoError: If one of them does not compile.
    """
    return _combine(selector_paths(selector), Projection(projection))


def combine_sort_projection(sort: Any, projection: Document | None) -> dict[str, bool]:
    """Return the projection that also keeps the fields a sort looks at.

    As :func:`combine_selector_projection`.
    """
    return _combine(Sorter(sort).paths, Projection(projection))


def _touches(modified: Parts, asked: Parts) -> bool:
    """Tell whether a change of one path may be seen at another.

    It may if one leads to the other. ``foo.bar`` sees a change of ``foo.2.bar``, but ``foo.4.bar``
    none of ``foo.bar`` or ``foo.3``; it may see one of ``foo.5``, which fills up the array.
    """
    i = j = 0
    while i < len(asked) and j < len(modified):
        part, changed = asked[i], modified[j]
        if is_array_index(part):
            if changed != _POSITIONAL and not is_array_index(changed):
                return False
            if changed != _POSITIONAL and _index(changed) != _index(part):
                return _index(changed) > _index(part)
            i += 1
            j += 1
        elif is_array_index(changed) or changed == _POSITIONAL:
            j += 1
        elif part == changed:
            i += 1
            j += 1
        else:
            return False
    return True


def _index(part: str) -> tuple[int, str]:
    """Return what orders indices of any length; ``01`` is the same as ``1``."""
    digits = part.lstrip("0")
    return len(digits), digits


def _combine(paths: Iterable[str], projection: Projection) -> dict[str, bool]:
    # Projections traverse arrays and know no indices.
    needed = {_without_indices(path) for path in paths}
    if () in needed:
        return {}
    shown = [split(path) for path in projection.paths]
    if projection.including:
        return {join(parts): True for parts in _outermost([*shown, *sorted(needed)])}
    return {
        join(parts): False
        for parts in shown
        if not any(_leads_to(parts, asked) or _leads_to(asked, parts) for asked in needed)
    }


def _without_indices(path: str) -> Parts:
    return tuple(part for part in split(path) if not is_array_index(part))


def _outermost(paths: list[Parts]) -> list[Parts]:
    """Drop what lies inside another path."""
    unique = list(dict.fromkeys(paths))
    return [
        parts
        for parts in unique
        if not any(other != parts and _leads_to(other, parts) for other in unique)
    ]


def _leads_to(outer: Parts, inner: Parts) -> bool:
    return inner[: len(outer)] == outer
