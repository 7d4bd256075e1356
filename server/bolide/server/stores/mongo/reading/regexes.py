"""Regular expressions in selectors, rewritten so that the server finds what the matcher matches."""

from collections.abc import Mapping, Sequence

# Selectors hold any values.
from typing import Any, Final, cast

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.regexes.regex import portable
from bolide.core.values import Regex

__all__ = ["with_portable_regexes"]

_COMBINING: Final = frozenset({"$and", "$or", "$nor"})
_OF_VALUES: Final = frozenset({"$in", "$nin", "$all"})
_OF_CONDITIONS: Final = frozenset({"$not", "$elemMatch"})


def with_portable_regexes(selector: Mapping[str, Any]) -> dict[str, Any]:
    """Return a selector whose regular expressions mean to PCRE what they mean to JavaScript.

    What we do not understand is left for the server, and so is a regular expression as a value
    (``$eq``, ``$ne``, or inside an object).
    """
    return {name: _part(name, value) for name, value in selector.items()}


def _part(name: str, value: Any) -> Any:
    if name in _COMBINING and isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_selector(part) for part in cast("Sequence[object]", value)]
    return value if name.startswith("$") else _condition(value)


def _selector(value: object) -> object:
    if isinstance(value, Mapping):
        return with_portable_regexes(cast("Mapping[str, Any]", value))
    return value


def _condition(value: Any) -> Any:
    if isinstance(value, Regex):
        return _rewritten(value)
    if isinstance(value, Mapping):
        operators = cast("Mapping[str, Any]", value)
        return _operators(operators) if _has_operators(operators) else operators
    return value


def _has_operators(value: Mapping[str, Any]) -> bool:
    return next(iter(value), "").startswith("$")


def _operators(operators: Mapping[str, Any]) -> dict[str, Any]:
    rewritten = {name: _operand(name, operand) for name, operand in operators.items()}
    pattern = operators.get("$regex")
    if isinstance(pattern, str | Regex):
        source, flags = (
            (pattern, "") if isinstance(pattern, str) else (pattern.pattern, pattern.flags)
        )
        options = rewritten.pop("$options", flags)
        if isinstance(options, str):
            rewritten["$regex"] = _rewritten(Regex(source, options))
        else:
            rewritten["$options"] = options  # the server says that it cannot be
    return rewritten


def _operand(name: str, operand: Any) -> Any:
    if name in _OF_VALUES and isinstance(operand, list):
        values = cast("list[object]", operand)
        return [_rewritten(value) if isinstance(value, Regex) else value for value in values]
    if name in _COMBINING:  # inside $elemMatch
        return _part(name, operand)
    if name in _OF_CONDITIONS:
        is_object = isinstance(operand, Mapping)
        if is_object and not _has_operators(cast("Mapping[str, Any]", operand)):
            return with_portable_regexes(cast("Mapping[str, Any]", operand))
        return _condition(operand)
    return operand


def _rewritten(value: Regex) -> Regex:
    try:
        pattern = portable(value.pattern, value.flags)
    except MinimongoError:
        return value
    return Regex(pattern, "i" if "i" in value.flags else "")
