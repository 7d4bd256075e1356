"""Turn frames into messages of DDP and messages into frames.

What a peer may send is decided here alone; when it may send it is the session's matter.

Specified by DDP version 1; reasons of errors follow Meteor's ``ddp-server``.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, TypeAlias, TypeGuard

import msgspec

from bolide.core._ejson_reader import NumberTooBig
from bolide.core.ddp._server_messages import SERVER_PARSERS
from bolide.core.ddp._wire import WRITERS
from bolide.core.ddp.digests import parse_digest
from bolide.core.ddp.messages import (
    BadMessage,
    CallId,
    ClientMessage,
    Connect,
    Have,
    Method,
    Ping,
    Pong,
    Resync,
    ServerMessage,
    Sub,
    Unsub,
)
from bolide.core.ejson import JSON, from_json
from bolide.core.errors import Details, EJSONError, RemoteProtocolError
from bolide.core.values import UNDEFINED, EJSONValue, Undefined

__all__ = ["depth_of", "encode", "parse_client_message", "parse_server_message", "serialize"]

_Object: TypeAlias = dict[str, JSON]

_VALUE_KEYS: Final = ("fields", "params", "result")
# Each stream of a method is seeded by walking over the seed; Meteor's has 20 characters.
_MAX_SEED_LENGTH: Final = 1000
_CLIENT_ID_LENGTHS: Final = range(16, 65)
_CALL_ID_LENGTHS: Final = range(1, 65)
# Longer ones are not kept with a bad message that waits.
_MAX_NAMED_ID_LENGTH: Final = 64
_MALFORMED: Final = CallId("", "")
_USUAL_METHOD: Final = '{"msg":"method",'
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def parse_client_message(frame: str, *, max_depth: int) -> ClientMessage | BadMessage:
    """Read one frame of a client.

    ``connect`` with unusable versions comes out as ``Connect(version=None)``, which
    :func:`~bolide.core.ddp.negotiation.negotiate` refuses. The session adds what depends on its
    state: before ``connect`` everything that has a ``msg`` is answered with "Must connect first",
    :class:`BadMessage` included if its ``offending_message`` has one; a second ``connect`` with
    "Already connected"; ``ping`` and ``pong`` in version ``pre1`` with "Bad request".

    Args:
        frame: JSON text.
        max_depth: Levels of arrays and objects, the message itself included.

    Returns:
        The message, or ``BadMessage`` with one of these reasons: "Bad request" (no JSON, too
        deep, a number too big, half a surrogate pair; with ``offending_message``: no usable
        ``msg``), "Parse error" (EJSON that we cannot read), "Malformed subscription",
        "Malformed method invocation", "Malformed resync".
    """
    if frame.startswith(_USUAL_METHOD):
        method = _usual_method(frame, max_depth)
        if method is not None:
            return method
    try:
        json: JSON = _decode(frame)
    except (ValueError, RecursionError):
        return BadMessage("Bad request")
    if not isinstance(json, (dict, list)):
        return BadMessage("Bad request")
    if _is_too_deep(json, frame, max_depth):
        return BadMessage("Bad request", named=_named(json))
    if isinstance(json, list):
        return BadMessage("Bad request", json)
    try:
        values = {key: from_json(json[key]) for key in _VALUE_KEYS if key in json}
    except NumberTooBig:
        return BadMessage("Bad request", named=_named(json))
    except EJSONError:
        return BadMessage("Parse error", named=_named(json))
    kind = json.get("msg")
    parse = _CLIENT_PARSERS.get(kind) if isinstance(kind, str) else None
    return BadMessage("Bad request", json) if parse is None else parse(json, values.get("params"))


class _UsualMethod(
    msgspec.Struct, frozen=True, tag_field="msg", tag="method", forbid_unknown_fields=True
):
    """A call as clients write it, with keys that we know and nothing in them to be refused."""

    id: str
    method: str
    # Arguments of applications: any value.
    params: list[Any]
    seed: Annotated[str, msgspec.Meta(max_length=_MAX_SEED_LENGTH)] | msgspec.UnsetType = (
        msgspec.field(default=msgspec.UNSET, name="randomSeed")
    )
    bolide: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


_decode_usual_method: Final = msgspec.json.Decoder(_UsualMethod).decode


def _usual_method(frame: str, max_depth: int) -> Method | None:
    """Read a call in one step; None: look closer, and say then what is wrong with it."""
    if frame.count("[") + frame.count("{") > max_depth:
        return None
    try:
        usual = _decode_usual_method(frame)
        params: Any = from_json(usual.params)  # an array as well
    except (ValueError, RecursionError, EJSONError):
        return None
    seed = None if usual.seed is msgspec.UNSET else usual.seed
    if usual.bolide is msgspec.UNSET:
        return Method(usual.id, usual.method, params, seed)
    call = _call_id(usual.bolide)
    return None if call is _MALFORMED else Method(usual.id, usual.method, params, seed, call)


def parse_server_message(frame: str) -> ServerMessage | None:
    """Read one frame of a server.

    Returns:
        The message, or None if it is of a kind we do not know, which the protocol lets us ignore.

    Raises:
        RemoteProtocolError: If it is no JSON object, or a message of a known kind that lacks
            something; the text names what, without values.
    """
    try:
        json: JSON = _decode(frame)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("The server sent a frame that is not valid JSON.") from None
    if not isinstance(json, dict):
        raise RemoteProtocolError("The server sent JSON that is no object.")
    kind = json.get("msg")
    parse = SERVER_PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        return None
    try:
        return parse(json)
    except EJSONError as error:
        raise RemoteProtocolError(f"The server sent {kind!r} with EJSON we cannot read.") from error


def serialize(message: ClientMessage | ServerMessage, *, bolide: bool = False) -> str:
    """Write one message as JSON text.

    Args:
        message: Of either side.
        bolide: Whether the peer negotiated our extensions of EJSON.

    Raises:
        EJSONError: If a value is of a type that no document may hold, an integer has more than
            64 bits, a string has half a surrogate pair, or all is nested beyond reason.
    """
    return encode(message, bolide=bolide).decode()


def encode(message: ClientMessage | ServerMessage, *, bolide: bool = False) -> bytes:
    """Write one message as JSON text in UTF-8; as :func:`serialize`."""
    try:
        return _encode(WRITERS[type(message)](message, bolide))
    except UnicodeEncodeError:
        raise EJSONError("A string with half a surrogate pair cannot be sent.") from None
    except RecursionError:
        raise EJSONError("A value that is nested so deeply cannot be sent.") from None


def depth_of(frame: str) -> int:
    """Count the levels of arrays and objects in JSON text, as ``max_depth`` counts them.

    Args:
        frame: JSON text.
    """
    json: JSON = _decode(frame)
    level = _within([json])
    depth = 0
    while level:
        depth += 1
        level = [item for container in level for item in _within(_items(container))]
    return depth


def _named(json: list[JSON] | _Object) -> "Details | Undefined":
    """Return which call or subscription a bad message is; UNDEFINED if it does not say."""
    if isinstance(json, dict):
        kind, id = json.get("msg"), json.get("id")
        if kind in ("method", "sub") and isinstance(id, str) and len(id) <= _MAX_NAMED_ID_LENGTH:
            return {"msg": kind, "id": id}
    return UNDEFINED


def _is_too_deep(json: list[JSON] | _Object, frame: str, max_depth: int) -> bool:
    if frame.count("[") + frame.count("{") <= max_depth:
        return False
    level: list[list[JSON] | _Object] = [json]
    for _ in range(max_depth):
        level = [item for container in level for item in _within(_items(container))]
    return bool(level)


def _items(container: list[JSON] | _Object) -> Iterable[JSON]:
    return container.values() if isinstance(container, dict) else container


def _within(items: Iterable[JSON]) -> list[list[JSON] | _Object]:
    return [item for item in items if isinstance(item, (dict, list))]


def _is_list_of_strings(json: JSON) -> TypeGuard[list[str]]:
    return isinstance(json, list) and all(isinstance(item, str) for item in json)


def _parse_connect(json: _Object, _: EJSONValue) -> Connect:
    session, version, support = json.get("session"), json.get("version"), json.get("support")
    bolide = json.get("bolide")
    if not isinstance(version, str) or not _is_list_of_strings(support):
        return Connect(None, ())
    return Connect(
        version,
        tuple(support),
        session if isinstance(session, str) else None,
        bolide if isinstance(bolide, dict) else None,
    )


def _parse_sub(json: _Object, params: EJSONValue) -> Sub | BadMessage:
    id, name = json.get("id"), json.get("name")
    if isinstance(id, str) and isinstance(name, str):
        if isinstance(params, list):
            return Sub(id, name, params)
        if "params" not in json:
            return Sub(id, name)
    return BadMessage("Malformed subscription", json)


def _parse_unsub(json: _Object, _: EJSONValue) -> Unsub | BadMessage:
    # Meteor answers such an `unsub` with a `nosub` without `id`, which tells nobody anything.
    id = json.get("id")
    return Unsub(id) if isinstance(id, str) else BadMessage("Malformed subscription", json)


def _parse_method(json: _Object, params: EJSONValue) -> Method | BadMessage:
    id, method, seed = json.get("id"), json.get("method"), json.get("randomSeed")
    if "randomSeed" not in json or (isinstance(seed, str) and len(seed) <= _MAX_SEED_LENGTH):
        seed = seed if isinstance(seed, str) else None
        call = _call_id(json["bolide"]) if "bolide" in json else None
        if isinstance(id, str) and isinstance(method, str) and call is not _MALFORMED:
            if isinstance(params, list):
                return Method(id, method, params, seed, call)
            if "params" not in json:
                return Method(id, method, (), seed, call)
    return BadMessage("Malformed method invocation", json)


def _call_id(json: JSON) -> CallId:
    """Return the call's id, ``_MALFORMED`` if it is none."""
    if isinstance(json, dict):
        client, call = json.get("client"), json.get("call")
        if (
            isinstance(client, str)
            and isinstance(call, str)
            and len(client) in _CLIENT_ID_LENGTHS
            and len(call) in _CALL_ID_LENGTHS
        ):
            return CallId(client, call)
    return _MALFORMED


def _parse_resync(json: _Object, _: EJSONValue) -> Resync | Have | BadMessage:
    subs, views, have = json.get("subs"), json.get("views"), json.get("have")
    try:
        if _is_list_of_strings(subs) and isinstance(views, dict):
            return Resync(tuple(subs), _digests(views))
        if isinstance(have, dict):
            documents = {
                name: _digests(digests)
                for name, digests in have.items()
                if isinstance(digests, dict)
            }
            if len(documents) == len(have):
                return Have(documents, json.get("more") is True)
    except ValueError:
        pass
    # What it says of the client's documents is not repeated.
    return BadMessage("Malformed resync")


def _digests(json: _Object) -> dict[str, bytes]:
    return {name: parse_digest(text) for name, text in json.items()}


_CLIENT_PARSERS: Final[dict[str, Callable[[_Object, EJSONValue], ClientMessage | BadMessage]]] = {
    "connect": _parse_connect,
    "sub": _parse_sub,
    "unsub": _parse_unsub,
    "method": _parse_method,
    "ping": lambda json, _: Ping(json.get("id", UNDEFINED)),
    "pong": lambda json, _: Pong(json.get("id", UNDEFINED)),
    "bolide.resync": _parse_resync,
}
