"""Check the objects that a server sent and make messages of them."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from bolide.core.ddp.ids import id_parse
from bolide.core.ddp.messages import (
    Added,
    Changed,
    Connected,
    Error,
    Failed,
    Late,
    Move,
    Nosub,
    Ping,
    Pong,
    Ready,
    Removed,
    Result,
    ServerMessage,
    Updated,
    Void,
    Want,
    WireError,
)
from bolide.core.ejson import JSON, from_json
from bolide.core.errors import RemoteProtocolError
from bolide.core.values import UNDEFINED

__all__ = ["SERVER_PARSERS"]

_Object: TypeAlias = dict[str, JSON]


def _bad(json: _Object, key: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"The server sent {json['msg']!r} without a usable {key!r}.")


def _string(json: _Object, key: str) -> str:
    value = json.get(key)
    if isinstance(value, str):
        return value
    raise _bad(json, key)


def _strings(json: _Object, key: str) -> tuple[str, ...]:
    value = json.get(key)
    if isinstance(value, list):
        strings = tuple(item for item in value if isinstance(item, str))
        if len(strings) == len(value):
            return strings
    raise _bad(json, key)


# Values of fields: the application's.
def _fields(json: _Object) -> dict[str, Any]:
    fields = from_json(json.get("fields", {}))
    if isinstance(fields, dict):
        return fields
    raise _bad(json, "fields")


def _error(json: _Object) -> WireError | None:
    if "error" not in json:
        return None
    wire = json["error"]
    if isinstance(wire, dict):
        error = wire.get("error")
        reason = wire.get("reason")
        error_type = wire.get("errorType")
        if isinstance(error, (str, int, float)) and not isinstance(error, bool):
            return WireError(
                error,
                reason if isinstance(reason, str) else None,
                wire.get("details"),
                error_type if isinstance(error_type, str) else "Meteor.Error",
            )
    raise _bad(json, "error")


def _parse_connected(json: _Object) -> Connected:
    bolide = json.get("bolide")
    return Connected(_string(json, "session"), bolide if isinstance(bolide, dict) else None)


def _parse_changed(json: _Object) -> Changed:
    cleared = _strings(json, "cleared") if "cleared" in json else ()
    id = id_parse(_string(json, "id"))
    return Changed(_string(json, "collection"), id, _fields(json), cleared)


def _parse_result(json: _Object) -> Result:
    result = from_json(json["result"]) if "result" in json else UNDEFINED
    return Result(_string(json, "id"), result, _error(json))


def _parse_added(json: _Object) -> Added:
    replace = json.get("replace") is True
    id = id_parse(_string(json, "id"))
    return Added(_string(json, "collection"), id, _fields(json), replace)


def _parse_removed(json: _Object) -> Removed:
    return Removed(_string(json, "collection"), id_parse(_string(json, "id")))


def _parse_error(json: _Object) -> Error:
    return Error(_string(json, "reason"), json.get("offendingMessage", UNDEFINED))


def _parse_resync(json: _Object) -> Want | Void:
    return Void() if json.get("void") is True else Want(_strings(json, "want"))


def _parse_move(json: _Object) -> Move:
    within = json.get("within")
    if isinstance(within, (int, float)) and not isinstance(within, bool) and within >= 0:
        return Move(within)
    raise _bad(json, "within")


def _parse_late(json: _Object) -> Late:
    return Late(_string(json, "because") if "because" in json else None)


SERVER_PARSERS: Final[dict[str, Callable[[_Object], ServerMessage]]] = {
    "connected": _parse_connected,
    "failed": lambda json: Failed(_string(json, "version")),
    "error": _parse_error,
    "ping": lambda json: Ping(json.get("id", UNDEFINED)),
    "pong": lambda json: Pong(json.get("id", UNDEFINED)),
    "added": _parse_added,
    "changed": _parse_changed,
    "removed": _parse_removed,
    "ready": lambda json: Ready(_strings(json, "subs")),
    "nosub": lambda json: Nosub(_string(json, "id"), _error(json)),
    "result": _parse_result,
    "updated": lambda json: Updated(_strings(json, "methods")),
    "bolide.resync": _parse_resync,
    "bolide.move": _parse_move,
    "bolide.late": _parse_late,
}
"""By the ``msg`` of the object; each raises RemoteProtocolError, or EJSONError for its values."""
