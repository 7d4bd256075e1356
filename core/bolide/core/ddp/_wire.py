"""Lay messages out as the JSON objects that go over the wire, keys in Meteor's order."""

from collections.abc import Callable

# Each writer takes its own class of message; the table joins them.
from typing import Any, Final, TypeAlias

from bolide.core.ddp.digests import digest_text
from bolide.core.ddp.ids import id_stringify
from bolide.core.ddp.messages import (
    Added,
    Changed,
    Connect,
    Connected,
    Error,
    Failed,
    Have,
    Late,
    Method,
    Move,
    Nosub,
    Ping,
    Pong,
    Ready,
    Removed,
    Result,
    Resync,
    Sub,
    Unsub,
    Updated,
    Void,
    Want,
    WireError,
)
from bolide.core.ejson import to_json
from bolide.core.values import UNDEFINED

__all__ = ["WRITERS"]

_Object: TypeAlias = dict[str, Any]


def _connect(message: Connect, bolide: bool) -> _Object:
    wire: _Object = {"msg": "connect"}
    if message.session is not None:
        wire["session"] = message.session
    wire["version"] = message.version
    wire["support"] = message.support
    if message.bolide is not None:
        wire["bolide"] = message.bolide
    return wire


def _sub(message: Sub, bolide: bool) -> _Object:
    params = to_json(list(message.params), bolide=bolide)
    return {"msg": "sub", "id": message.id, "name": message.name, "params": params}


def _unsub(message: Unsub, bolide: bool) -> _Object:
    return {"msg": "unsub", "id": message.id}


def _method(message: Method, bolide: bool) -> _Object:
    params = to_json(list(message.params), bolide=bolide)
    wire = {"msg": "method", "method": message.method, "params": params, "id": message.id}
    if message.random_seed is not None:
        wire["randomSeed"] = message.random_seed
    if message.call is not None:
        wire["bolide"] = {"client": message.call.client, "call": message.call.call}
    return wire


def _ping(message: Ping | Pong, bolide: bool) -> _Object:
    kind = "ping" if isinstance(message, Ping) else "pong"
    return {"msg": kind} if message.id is UNDEFINED else {"msg": kind, "id": message.id}


def _connected(message: Connected, bolide: bool) -> _Object:
    wire: _Object = {"msg": "connected", "session": message.session}
    if message.bolide is not None:
        wire["bolide"] = message.bolide
    return wire


def _failed(message: Failed, bolide: bool) -> _Object:
    return {"msg": "failed", "version": message.version}


def _error(message: Error, bolide: bool) -> _Object:
    wire: _Object = {"msg": "error", "reason": message.reason}
    if message.offending_message is not UNDEFINED:
        wire["offendingMessage"] = message.offending_message
    return wire


def _added(message: Added, bolide: bool) -> _Object:
    wire: _Object = {
        "msg": "added",
        "collection": message.collection,
        "id": id_stringify(message.id),
    }
    if message.fields:
        wire["fields"] = to_json(dict(message.fields), bolide=bolide)
    if message.replace:
        wire["replace"] = True
    return wire


def _changed(message: Changed, bolide: bool) -> _Object:
    fields = {name: value for name, value in message.fields.items() if value is not UNDEFINED}
    cleared = [*message.cleared, *(name for name in message.fields if name not in fields)]
    wire: _Object = {
        "msg": "changed",
        "collection": message.collection,
        "id": id_stringify(message.id),
    }
    if fields:
        wire["fields"] = to_json(fields, bolide=bolide)
    if cleared or not fields:
        wire["cleared"] = cleared
    return wire


def _removed(message: Removed, bolide: bool) -> _Object:
    return {
        "msg": "removed",
        "collection": message.collection,
        "id": id_stringify(message.id),
    }


def _ready(message: Ready, bolide: bool) -> _Object:
    return {"msg": "ready", "subs": message.subs}


def _nosub(message: Nosub, bolide: bool) -> _Object:
    wire: _Object = {"msg": "nosub", "id": message.id}
    if message.error is not None:
        wire["error"] = _wire_error(message.error)
    return wire


def _result(message: Result, bolide: bool) -> _Object:
    wire: _Object = {"msg": "result", "id": message.id}
    if message.error is not None:
        wire["error"] = _wire_error(message.error)
    elif message.result is not UNDEFINED:
        result = message.result
        wire["result"] = result if type(result) is str else to_json(result, bolide=bolide)
    return wire


def _updated(message: Updated, bolide: bool) -> _Object:
    return {"msg": "updated", "methods": message.methods}


def _resync(message: Resync, bolide: bool) -> _Object:
    views = {name: digest_text(digest) for name, digest in message.views.items()}
    return {"msg": "bolide.resync", "subs": message.subs, "views": views}


def _want(message: Want, bolide: bool) -> _Object:
    return {"msg": "bolide.resync", "want": message.collections}


def _have(message: Have, bolide: bool) -> _Object:
    have = {
        name: {id: digest_text(digest) for id, digest in documents.items()}
        for name, documents in message.views.items()
    }
    wire: _Object = {"msg": "bolide.resync", "have": have}
    if message.more:
        wire["more"] = True
    return wire


def _void(message: Void, bolide: bool) -> _Object:
    return {"msg": "bolide.resync", "void": True}


def _move(message: Move, bolide: bool) -> _Object:
    return {"msg": "bolide.move", "within": message.within}


def _late(message: Late, bolide: bool) -> _Object:
    wire: _Object = {"msg": "bolide.late"}
    if message.because is not None:
        wire["because"] = message.because
    return wire


def _wire_error(error: WireError) -> _Object:
    wire: _Object = {"isClientSafe": True, "error": error.error}
    if error.reason is not None:
        wire["reason"] = error.reason
    if error.details is not None:
        wire["details"] = error.details
    wire["message"] = error.message
    wire["errorType"] = error.error_type
    return wire


WRITERS: Final[dict[type, Callable[[Any, bool], _Object]]] = {
    Connect: _connect,
    Sub: _sub,
    Unsub: _unsub,
    Method: _method,
    Ping: _ping,
    Pong: _ping,
    Connected: _connected,
    Failed: _failed,
    Error: _error,
    Added: _added,
    Changed: _changed,
    Removed: _removed,
    Ready: _ready,
    Nosub: _nosub,
    Result: _result,
    Updated: _updated,
    Resync: _resync,
    Want: _want,
    Have: _have,
    Void: _void,
    Move: _move,
    Late: _late,
}
"""By class of message: takes the message and whether the peer negotiated our extensions."""
