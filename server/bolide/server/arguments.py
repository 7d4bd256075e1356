"""Argument validation: a handler's annotations, made into a check of what clients send.

Clients have one type of number, so ``int`` takes 5.0 and ``float`` takes 5; all else is strict.
Objects become dataclasses, ``TypedDict`` or pydantic models, arrays become tuples and sets.

An argument that goes into a selector could carry operators (``{"$ne": None}``) or a regular
expression, and so ask for more than the developer meant. Both are refused wherever the annotation
does not say :data:`EJSONValue`, :data:`Selector`, :data:`Modifier` or :data:`Pattern`.
"""

import inspect
import warnings
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from types import GenericAlias
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    TypeAlias,
    cast,
    get_type_hints,
)

from bson import Binary
from pydantic import ConfigDict, GetPydanticSchema, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.warnings import ArbitraryTypeWarning
from pydantic_core import (
    CoreSchema,
    PydanticCustomError,
    SchemaError,
    SchemaValidator,
    ValidationError,
    core_schema,
)

from bolide.core import values
from bolide.core.errors import MethodError
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.mongodb_only import differing_operator, mongodb_only_operator

__all__ = [
    "MAX_SELECTOR_CONDITIONS",
    "Argument",
    "Arguments",
    "EJSONValue",
    "Handler",
    "Modifier",
    "Pattern",
    "Selector",
    "location_of",
    "read_arguments",
    "read_type",
]

# Handlers take any arguments after the context, and return any value.
Handler: TypeAlias = Callable[..., Awaitable[Any]]
"""A publish function or a method: ``async def handler(ctx, ...)``."""


MAX_SELECTOR_CONDITIONS = 500
"""Most keys in a selector of a client, those of all its objects together."""


class _Opened(dict[int, Any]):
    """The values that their annotations let hold anything, by ``id``."""


def _open(value: Any, info: core_schema.ValidationInfo[object]) -> Any:
    """Remember a value that was taken; an app that makes its own model gives no context.

    Before it is taken would be too early: in a union, another choice may take it.
    """
    if isinstance(info.context, _Opened):
        info.context[id(value)] = value
    return value


def _conditions(value: Any) -> int:
    """Count the keys of all objects in a value."""
    if isinstance(value, dict):
        fields = cast("dict[str, values.EJSONValue]", value)
        return len(fields) + sum(map(_conditions, fields.values()))
    if isinstance(value, list):
        return sum(map(_conditions, cast("list[values.EJSONValue]", value)))
    return 0


def _limited(selector: Any) -> Any:
    """Refuse a selector that would keep the node busy for seconds, or the database."""
    if _conditions(selector) > MAX_SELECTOR_CONDITIONS:
        raise PydanticCustomError("too_many_conditions", "too many conditions")
    # Whatever else MongoDB evaluates, code among it, is the app's to ask for and no client's.
    try:
        Matcher(selector)
    except MinimongoError:
        raise _not_taken(mongodb_only_operator(selector)) from None
    if operator := differing_operator(selector):
        raise _not_taken(operator)
    return selector


def _not_taken(operator: str) -> PydanticCustomError:
    why = f"{operator} is not taken from clients" if operator else "not a supported selector"
    return PydanticCustomError(
        why,  # pyright: ignore[reportArgumentType]
        "not supported",
    )


def _supported(pattern: values.Regex) -> values.Regex:
    """Refuse a regular expression that only a database would search with."""
    try:
        Matcher({"text": pattern})
    except MinimongoError:
        raise PydanticCustomError("not a supported regular expression", "not supported") from None
    return pattern


def _open_schema(inner: CoreSchema) -> GetPydanticSchema:
    schema = core_schema.with_info_after_validator_function(_open, inner)
    return GetPydanticSchema(lambda _source, _handler: schema)


if TYPE_CHECKING:
    EJSONValue = values.EJSONValue
    Selector: TypeAlias = dict[str, Any]
    Modifier: TypeAlias = dict[str, Any]
    Pattern = values.Regex
else:
    EJSONValue = Annotated[Any, _open_schema(core_schema.any_schema())]
    """Any value that DDP carries, operators and regular expressions included."""

    Selector = Annotated[
        dict,
        _open_schema(
            core_schema.no_info_after_validator_function(
                _limited, core_schema.is_instance_schema(dict)
            )
        ),
    ]
    """A MongoDB selector from the client; only for handlers that mean it.

    It is one that minimongo evaluates, whatever the store: ``$where`` and ``$expr`` would be code
    of a client in the database.
    """

    Modifier = Annotated[dict, _open_schema(core_schema.is_instance_schema(dict))]
    """A MongoDB modifier from the client; only for handlers that mean it."""

    Pattern = Annotated[
        values.Regex,
        _open_schema(
            core_schema.no_info_after_validator_function(
                _supported, core_schema.is_instance_schema(values.Regex)
            )
        ),
    ]
    """A regular expression from the client."""

# Schemas of values that DDP carries: strict, whatever a model around them is configured to do.
_STRICT = frozenset({"bool", "bytes", "datetime", "dict", "float", "int", "list", "str"})

# Schemas of what DDP cannot carry: made from the object, array or text that it does carry.
_CONVERTED = frozenset({"dataclass", "enum", "frozenset", "model", "set", "tuple", "url", "uuid"})

# Of one argument; only the first is told, but pydantic writes all of them.
_MOST_ERRORS = 1_000

# What stops at the first bad element: a client may send a hundred thousand of them.
_ARRAYS = frozenset({"frozenset", "list", "set", "tuple"})

_Schema: TypeAlias = "dict[str, _Schema] | list[_Schema] | tuple[_Schema, ...] | str | float | None"
"""A schema of pydantic as plain data; what it holds besides schemas is not looked into."""

# What a schema holds besides schemas.
_NO_SCHEMAS = frozenset({"cls", "config", "default", "expected", "function", "members", "metadata"})


def _integral(value: Any) -> Any:
    """Make the integer of 64 bits that a float stands for."""
    is_integer = isinstance(value, float) and value.is_integer() and -(2**63) <= value < 2**63
    return int(value) if is_integer else value


_INTEGRAL: Any = {"type": "no-info", "function": _integral}


def _rewritten(schema: _Schema, names: set[str], *, takes_floats: bool = True) -> _Schema:
    """Rewrite a schema of pydantic into one of what DDP carries.

    Args:
        schema: A schema, or a container of schemas.
        names: Collects the names of fields.
        takes_floats: Whether an integer may come as a float; it is then a call of Python.
    """
    if isinstance(schema, list):
        return [_rewritten(inner, names, takes_floats=takes_floats) for inner in schema]
    if isinstance(schema, tuple):  # a choice of a union with its label
        return tuple([_rewritten(inner, names, takes_floats=takes_floats) for inner in schema])
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if not isinstance(kind, str):  # fields by name
        names.update(schema)
        return {
            name: _rewritten(inner, names, takes_floats=takes_floats)
            for name, inner in schema.items()
        }
    if kind == "dataclass-field":
        names.add(str(schema["name"]))
    result = {
        key: inner if key in _NO_SCHEMAS else _rewritten(inner, names, takes_floats=takes_floats)
        for key, inner in schema.items()
    }
    if not takes_floats:
        result.pop("ref", None)  # a simple schema refers to none, and two may be of one class
    if kind in _ARRAYS:
        result["fail_fast"] = True
    if kind in _STRICT:
        result.setdefault("strict", True)
    elif kind in _CONVERTED:
        result["strict"] = False
    if kind == "int" and takes_floats:
        return {"type": "function-before", "function": _INTEGRAL, "schema": result}
    return result


def _is_simple(schema: _Schema) -> bool:
    """Tell whether a schema refuses a value as soon as a part of it is refused, by itself.

    A union would take another choice, and a function of the app could do anything.
    """
    if isinstance(schema, list):
        return all(map(_is_simple, schema))
    if not isinstance(schema, dict):
        return not isinstance(schema, tuple)
    kind = schema.get("type")
    if not isinstance(kind, str):  # fields by name
        return all(map(_is_simple, schema.values()))
    return kind in _SIMPLE and all(
        key in _NO_SCHEMAS or _is_simple(inner) for key, inner in schema.items()
    )


def _uncarried(schema: _Schema) -> str | None:
    """Return what no client can send, as its annotation names it; None if there is nothing.

    Only what is certain is told: a function of the app may make anything of a value, and a class
    may be that of a custom value.
    """
    if isinstance(schema, (list, tuple)):
        return next(filter(None, map(_uncarried, schema)), None)
    if not isinstance(schema, dict):
        return None
    kind = schema.get("type")
    if not isinstance(kind, str):  # fields by name
        return next(filter(None, map(_uncarried, schema.values())), None)
    if kind in _UNCARRIED:
        return _UNCARRIED[kind]
    if kind == "is-instance":
        found: Any = schema["cls"]
        return None if _may_be_carried(found) else found.__name__
    if kind not in _HOLDERS:
        return None
    inner = (part for key, part in schema.items() if key not in _NO_SCHEMAS)
    return next(filter(None, map(_uncarried, inner)), None)


def _may_be_carried(found: Any) -> bool:
    """Tell whether an instance of a class may be a value that DDP carries."""
    return not isinstance(found, type) or any(
        issubclass(found, carried) or issubclass(carried, found) for carried in _CARRIED
    )


_CARRIED: Final[tuple[type, ...]] = (
    bool, bytearray, bytes, datetime, dict, float, int, list, str, tuple, Binary,
    values.CustomValue, values.DatetimeMS, values.Decimal128, values.InvalidDate,
    values.ObjectId, values.Regex,
)  # fmt: skip
_UNCARRIED: Final = {"callable": "a function", "complex": "complex", "generator": "a generator"}
# Schemas that check the parts of a value as they are.
_HOLDERS: Final = frozenset(
    {"dataclass", "dataclass-args", "dataclass-field", "default", "definitions", "dict",
     "frozenset", "list", "model", "model-field", "model-fields", "nullable", "set", "tuple",
     "typed-dict", "typed-dict-field", "union"}
)  # fmt: skip
_SIMPLE = frozenset(
    {"bool", "float", "int", "list", "literal", "none", "nullable", "str", "tuple", "typed-dict",
     "typed-dict-field"}
)  # fmt: skip
_CLOSED_TYPES = frozenset({bool, float, int, str, type(None)})


def _is_closed(value: Any) -> bool:
    """Tell whether a value holds neither operators nor regular expressions."""
    if type(value) in _CLOSED_TYPES:
        return True
    if isinstance(value, dict):
        fields: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        for name, field in fields.items():
            if name.startswith("$") or not (type(field) in _CLOSED_TYPES or _is_closed(field)):
                return False
        return True
    if isinstance(value, (list, tuple)):
        elements: Sequence[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return all(map(_is_closed, elements))  # pyright: ignore[reportUnknownArgumentType]
    return not isinstance(value, values.Regex)


class Argument:
    """The check of one argument.

    Attributes:
        name: Its name.
        schema: Of pydantic, of a tuple that holds the argument alone, before it is rewritten.
    """

    __slots__ = ("_names", "_validator", "name", "schema")

    # Annotations are of any type.
    def __init__(self, name: str, annotation: Any) -> None:
        """Make the check; :func:`read_type` explains what cannot be checked."""
        self.name = name
        self._names: set[str] = set()
        # As an element of a tuple, because pydantic takes no configuration for a model alone.
        element: Any = GenericAlias(tuple, (annotation,))
        with warnings.catch_warnings():
            # Of what is no type at all, pydantic would only warn that it takes anything for it.
            warnings.simplefilter("error", ArbitraryTypeWarning)
            adapter = TypeAdapter[Any](element, config=ConfigDict(arbitrary_types_allowed=True))
        self.schema = cast("dict[str, Any]", adapter.core_schema)
        # The validators that models bring along would not know the rewritten schema.
        self._validator = SchemaValidator(
            cast("CoreSchema", _rewritten(self.schema, self._names)),
            _use_prebuilt=False,
        )

    def validate(self, value: values.EJSONValue) -> Any:
        """Return the value as the handler gets it.

        Raises:
            MethodError: 400, if it is not of the annotated type.
        """
        opened = _Opened()
        try:
            (validated,) = self._validator.validate_python((value,), context=opened)
        except ValidationError as error:
            if error.error_count() > _MOST_ERRORS:  # to write them all would take too long
                raise self._refusal((), "hardly anything in it is of the right type") from None
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise self._refusal(first["loc"][1:], first["type"].replace("_", " ")) from None
        if isinstance(value, (dict, list, values.Regex)):
            self._check_closed(value, opened, ())
        return validated

    def _check_closed(self, value: Any, opened: _Opened, path: tuple[int | str, ...]) -> None:
        if id(value) in opened:
            return
        if isinstance(value, values.Regex):
            raise self._refusal(path, "regular expressions are not taken here")
        if isinstance(value, dict):
            fields = cast("dict[str, values.EJSONValue]", value)
            if any(name.startswith("$") for name in fields):
                raise self._refusal(path, "keys that begin with $ are not taken here")
            for name, field in fields.items():
                self._check_closed(field, opened, (*path, name))
        elif isinstance(value, list):
            for index, element in enumerate(cast("list[values.EJSONValue]", value)):
                self._check_closed(element, opened, (*path, index))

    def _refusal(self, path: tuple[int | str, ...], why: str) -> MethodError:
        """Name the place; keys that the client made up are not repeated."""
        place = ".".join(
            str(part) if isinstance(part, int) or part in self._names else "*"
            for part in (self.name, *path)[1:]
        )
        name = f"{self.name}.{place}" if place else self.name
        return MethodError(400, f'Argument "{name}" is not valid: {why}')


class Arguments:
    """What the handler of one publication or method takes.

    Attributes:
        names: Names of the arguments, the variable one with its ``*`` at the end.
    """

    __slots__ = ("_at_once", "_fixed", "_required", "_variable", "names")

    def __init__(self, fixed: Sequence[Argument], required: int, variable: Argument | None):
        """Take the checks; :func:`read_arguments` makes them."""
        self._at_once = _validator_of_all(fixed)
        self._fixed = tuple(fixed)
        self._required = required
        self._variable = variable
        self.names = (*(a.name for a in fixed), *((f"*{variable.name}",) if variable else ()))

    def bind(self, params: Sequence[values.EJSONValue]) -> list[Any]:
        """Check what a client sent.

        Args:
            params: The arguments; not changed.

        Returns:
            The handler's arguments after the context; those left out have defaults.

        Raises:
            MethodError: 400, with the name of the first argument that is missing, bad or one too
                many, and nothing of what was sent.
        """
        if self._at_once is not None and len(params) == len(self._fixed):
            try:
                every: tuple[Any, ...] = self._at_once.validate_python(params)
            except ValidationError:
                pass  # looked at one by one below
            else:
                if _is_closed(params):
                    return list(every)
        if len(params) < self._required:
            raise MethodError(400, f'Argument "{self._fixed[len(params)].name}" is missing')
        if len(params) > len(self._fixed) and self._variable is None:
            count = len(self._fixed)
            raise MethodError(400, f"Argument {count + 1} is one too many: {count} are taken")
        bound = [
            argument.validate(value) for argument, value in zip(self._fixed, params, strict=False)
        ]
        if self._variable is not None:
            bound += [self._variable.validate(value) for value in params[len(self._fixed) :]]
        return bound


def _validator_of_all(fixed: Sequence[Argument]) -> SchemaValidator | None:
    """Return a check of all arguments together that is sure of what it takes; None: there is none.

    It refuses more than the checks of the arguments one by one: an integer that comes as a float.
    """
    schemas = [argument.schema for argument in fixed]
    if not schemas or not all(map(_is_simple, schemas)):
        return None
    each = [_rewritten(schema["items_schema"][0], set(), takes_floats=False) for schema in schemas]
    together = {"type": "tuple", "items_schema": each, "fail_fast": True}
    return SchemaValidator(cast("CoreSchema", together), _use_prebuilt=False)


def read_arguments(handler: Handler, label: str) -> Arguments:
    """Make the checks of a handler from its annotations.

    Args:
        handler: ``async def handler(ctx, name: type, ...)``.
        label: What it is for people, such as ``"method patients.move"``.

    Raises:
        TypeError: If it is no such function; the text names handler and argument.
    """
    where = f"The handler of the {label} ({location_of(handler)})"
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{where} is not a coroutine function: write `async def`.")
    parameters = list(inspect.signature(handler).parameters.values())
    if not parameters or parameters[0].kind not in _POSITIONAL:
        raise TypeError(f"{where} takes no context: write `ctx: Context` as its first argument.")
    try:
        annotations = get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{where} has an annotation that cannot be read: {error};"
            " EJSONValue is to be imported from bolide.server."
        ) from error
    if not _may_be_context(annotations.get(parameters[0].name, Any)):
        raise TypeError(
            f"{where} has a type for its first argument {parameters[0].name!r} that is no context:"
            " write `ctx: Context` before it."
        )
    fixed: list[Argument] = []
    variable: Argument | None = None
    required = 0
    for parameter in parameters[1:]:
        name = parameter.name
        if name not in annotations:
            raise TypeError(f"{where} has no type for {name!r}: write it, such as `{name}: str`.")
        if parameter.kind not in (*_POSITIONAL, inspect.Parameter.VAR_POSITIONAL):
            raise TypeError(f"{where} takes {name!r} by keyword, but clients send by position.")
        argument = read_type(name, annotations[name], where)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            variable = argument
            continue
        fixed.append(argument)
        required += parameter.default is inspect.Parameter.empty
    return Arguments(fixed, required, variable)


# Annotations are of any type.
def read_type(name: str, annotation: Any, where: str) -> Argument:
    """Make the check of one value.

    Args:
        name: What a refusal calls it.
        annotation: Its type.
        where: Whose type it is, for people.

    Raises:
        TypeError: If it cannot be checked, or no client can send such a value.
    """
    unchecked = (
        f"{where} has a type for {name!r} that cannot be checked: write a type, such as str,"
        " dict[str, str], a dataclass, a TypedDict or a pydantic model."
    )
    # Pydantic would take a dict for a schema of its own, and call a function.
    if isinstance(annotation, dict) or inspect.isroutine(annotation):
        raise TypeError(unchecked)
    try:
        argument = Argument(name, annotation)
    except (ArbitraryTypeWarning, PydanticUserError, SchemaError, TypeError) as error:
        raise TypeError(unchecked) from error
    if (uncarried := _uncarried(argument.schema)) is not None:
        raise TypeError(
            f"{where} has a type for {name!r} that clients cannot send: {uncarried}; write one"
            " of those that docs/reference/app.md lists, such as float or EJSONValue."
        )
    return argument


def _may_be_context(annotation: object) -> bool:
    # By name: the context's module stands above this one.
    return annotation is Any or annotation is object or "Context" in str(annotation)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def location_of(handler: Handler) -> str:
    """Say where a handler is written."""
    name: str = getattr(handler, "__qualname__", type(handler).__qualname__)
    return f"{handler.__module__}.{name}"
