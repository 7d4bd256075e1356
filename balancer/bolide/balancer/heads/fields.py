"""The fields of a head or of trailers: their grammar, and the names with a meaning here.

The grammar is RFC 9112, section 5, without what it calls obsolete: no folded lines. One regular
expression reads a field or takes all that is left, and never goes back, so its time is linear.
"""

import re
from typing import Final

from bolide.balancer.heads.errors import HeadError

__all__ = [
    "FORBIDDEN_TRAILERS",
    "FORWARDING",
    "FORWARDING_PREFIXES",
    "HOP_BY_HOP",
    "TOKEN",
    "Field",
    "is_forwarding",
    "options_of",
    "read_fields",
]

Field = tuple[bytes, bytes]
"""Name as it came, value without white space around it."""

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a token (RFC 9110, section 5.6.2), for regular expressions."""

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""What is between two neighbours only: never passed on as it came. Lower case."""

FORWARDING: Final = frozenset(
    {
        # Who the client is.
        b"cf-connecting-ip",
        b"client-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"forwarded",
        b"true-client-ip",
        b"x-azure-clientip",
        b"x-azure-socketip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-originating-ip",
        b"x-proxyuser-ip",
        b"x-real-ip",
        b"x-remote-addr",
        b"x-remote-ip",
        # What it asked for, and over what.
        b"front-end-https",
        b"x-forwarded",
        b"x-host",
        b"x-http-host-override",
        b"x-original-host",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-url-scheme",
        # What certificate it showed.
        b"client-cert",
        b"client-cert-chain",
        b"ssl-client-cert",
        b"x-arr-clientcert",
        b"x-client-cert",
        b"x-ssl-cert",
        b"x-ssl-client-cert",
        # Becomes HTTP_PROXY in CGI, which libraries take for their own proxy ("httpoxy").
        b"proxy",
    }
)
"""What only a proxy in front may say, and applications believe: all that come in go. Lower case."""

FORBIDDEN_TRAILERS: Final = HOP_BY_HOP | {
    b"accept",
    b"age",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"host",
    b"location",
    b"max-forwards",
    b"origin",
    b"pragma",
    b"range",
    b"referer",
    b"retry-after",
    b"set-cookie",
    b"strict-transport-security",
    b"trailer",
    b"vary",
    b"warning",
    b"www-authenticate",
}
"""What may not come after a body: framing, routing, who asks, and how the body is to be read
(RFC 9110, section 6.5.1). Lower case."""

FORWARDING_PREFIXES: Final = (
    b"ssl-client-",
    b"x-client-cert-",
    b"x-forwarded-",
    b"x-ssl-client-",
)
"""Names that begin like this are forwarding fields too."""

_CONTROLS: Final = rb"\x00-\x08\x0a-\x1f\x7f"
_FIELD: Final = re.compile(
    # The value goes to the end of the line, then back over white space once.
    rb"("
    + TOKEN
    + rb"++):[ \t]*+((?:[^"
    + _CONTROLS
    + rb"]*[^"
    + _CONTROLS
    + rb" \t])?+)[ \t]*+\r\n"
    # Anything else: one row without a name, and the end.
    rb"|(?s:.++)"
)
_OPTION: Final = re.compile(TOKEN + rb"++")


def read_fields(head: bytes, start: int, *, max_fields: int, status: int) -> list[Field]:
    """Read the fields of a complete head.

    Args:
        head: Ends with CRLF CRLF, or is CRLF.
        start: Where the first field begins.
        max_fields: More are refused.
        status: Of what is raised for anything that is no field.

    Raises:
        HeadError: ``status``; for too many fields 431 instead of 400.
    """
    # "\r\n" ends the last field, or the line in front of the fields; the next one ends the head.
    if not head.endswith(b"\r\n\r\n"):
        raise HeadError(status, "no-end")
    fields: list[Field] = _FIELD.findall(head, start, len(head) - 2)
    if len(fields) > max_fields:
        raise HeadError(431 if status == 400 else status, "fields")
    if fields and not fields[-1][0]:
        raise HeadError(status, _problem(head))
    return fields


def _problem(head: bytes) -> str:
    """Name what made a field unreadable."""
    if head.count(b"\n") != head.count(b"\r\n") or head.count(b"\r") != head.count(b"\n"):
        return "bare-cr-lf"
    return "folded-field" if b"\r\n " in head or b"\r\n\t" in head else "field"


def is_forwarding(name: bytes) -> bool:
    """Tell whether only a proxy may say it.

    Args:
        name: Lower case.
    """
    return name in FORWARDING or name.startswith(FORWARDING_PREFIXES)


def options_of(value: bytes, status: int) -> list[bytes]:
    """Return the members of a list of tokens in lower case, such as the value of ``Connection``.

    Raises:
        HeadError: ``status``, if a member is no token.
    """
    options = [option.strip(b" \t") for option in value.lower().split(b",")]
    for option in options:
        if option and not _OPTION.fullmatch(option):
            raise HeadError(status, "connection")
    return [option for option in options if option]
