"""Redis URLs: what an operator writes as the setting ``redis``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn
from urllib.parse import parse_qsl, unquote

from bolide.core.errors import ConfigurationError
from bolide.server.loopback import is_loopback
from bolide.server.typed_urls import HIDDEN

__all__ = ["OPTION", "RedisAddress", "parse_redis_url", "refused"]

OPTION: Final = "redis"

Kind = Literal["single", "sentinel", "cluster"]

_FORMS: Final = (
    "redis://user:password@host:6379/0 (rediss:// with TLS), unix:///path/of/socket,"
    " redis+sentinel://host,host/service or redis+cluster://host,host"
    " (rediss+sentinel://, rediss+cluster:// with TLS)"
)
_OR: Final = " (or set BOLIDE_INSECURE_REDIS=1 if nobody else can read what passes between them)"
# Scheme -> (kind, TLS, default port)
_SCHEMES: Final[Mapping[str, tuple[Kind, bool, int]]] = {
    "redis": ("single", False, 6379),
    "rediss": ("single", True, 6379),
    "redis+sentinel": ("sentinel", False, 26379),
    "rediss+sentinel": ("sentinel", True, 26379),
    "redis+cluster": ("cluster", False, 6379),
    "rediss+cluster": ("cluster", True, 6379),
}
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where Redis is, and who asks.

    Attributes:
        kind: ``single``, or what the hosts are: ``sentinel`` or ``cluster``.
        hosts: (name, port) each; the server, or those that know where it is. Empty for a socket.
        socket: Path of a Unix socket, or None.
        service: What Sentinels call the primary; empty elsewhere.
        database: Number.
        user: Of the server; None is its default user.
        password: None if it wants none.
        sentinel_user: Of the Sentinels.
        sentinel_password: None if they want none.
        uses_tls: For the server and the Sentinels.
        tls_files: ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile``, those that were given.
        is_insecure: Other machines may be used without TLS or a password.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    socket: str | None = None
    service: str = ""
    database: int = 0
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    sentinel_user: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    uses_tls: bool = False
    tls_files: Mapping[str, str] = field(default_factory=dict[str, str])
    is_insecure: bool = False

    @property
    def shown(self) -> str:
        """Where it is, for people: without user and password."""
        if not self.hosts:
            return self.socket or ""
        return ", ".join(
            f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in self.hosts
        )

    def check_host(self, host: str) -> None:
        """Refuse to speak to another machine in plain text, or without a password.

        Args:
            host: Of the URL, or one that a Sentinel or the cluster named.

        Raises:
            ConfigurationError: If that would happen.
        """
        if self.is_insecure or is_loopback(host):
            return
        if not self.uses_tls:
            scheme = "rediss" if self.kind == "single" else f"rediss+{self.kind}"
            raise refused(f"{scheme}:// (TLS), because Redis is on another machine{_OR}")
        if not self.password:
            raise refused(f"one with a password, because Redis is on another machine{_OR}")


def refused(expected: str) -> ConfigurationError:
    """Return what is raised for a Redis that cannot be used; the URL is not repeated.

    Args:
        expected: The end of the sentence.
    """
    return ConfigurationError(OPTION, HIDDEN, expected)


def parse_redis_url(url: str, *, insecure: bool = False) -> RedisAddress:
    """Read a URL; nothing is asked.

    Args:
        url: ``redis://[user[:password]@]host[:port][/database]``, ``unix:///path?db=0``,
            ``redis+sentinel://...host,host/service[/database]`` or ``redis+cluster://host,host``;
            ``rediss`` is with TLS. ``%`` escapes in user and password.
        insecure: Let other machines be used without TLS or a password.

    Raises:
        ConfigurationError: If it is none of these, or unsafe. It may hold a password and is not
            repeated.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or "#" in rest or (scheme != "unix" and scheme not in _SCHEMES):
        raise refused(_FORMS)
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    if scheme == "unix":
        options = _options(query, ("db",))
        if hosts or not path:
            raise refused("unix:// and the absolute path of a socket: unix:///run/redis.sock")
        return RedisAddress(
            kind="single",
            hosts=(),
            socket=unquote(slash + path),
            database=_database(options.get("db", "")),
            user=unquote(user) or None,
            password=unquote(password) or None,
        )
    kind, uses_tls, port = _SCHEMES[scheme]
    options = _options(
        query,
        (*(_TLS_OPTIONS if uses_tls else ()), *(_SENTINEL_OPTIONS if kind == "sentinel" else ())),
    )
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise refused("followed by the service's name: redis+sentinel://host,host/mymaster")
    address = RedisAddress(
        kind=kind,
        hosts=tuple(_host(text, port) for text in hosts.split(",")),
        service=unquote(service),
        database=_database(path),
        user=unquote(user) or None,
        password=unquote(password) or None,
        sentinel_user=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        uses_tls=uses_tls,
        tls_files={name: options[name] for name in _TLS_OPTIONS if name in options},
        is_insecure=insecure,
    )
    if kind == "single" and len(address.hosts) > 1:
        raise refused("one host, or redis+sentinel:// or redis+cluster:// before several")
    if kind == "cluster" and address.database:
        raise refused("without a database: a cluster has only number 0")
    for host, _ in address.hosts:
        address.check_host(host)
    return address


def _options(query: str, known: tuple[str, ...]) -> dict[str, str]:
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        options = {"": ""}
    if not options.keys() <= set(known):
        _refuse_options(known)
    return options


def _refuse_options(known: tuple[str, ...]) -> NoReturn:
    if not known:
        raise refused("without anything after a question mark")
    raise refused(f"with nothing after the question mark but {', '.join(known)}")


def _host(text: str, default_port: int) -> tuple[str, int]:
    name, colon, port = text.rpartition(":")
    # The colons of an IPv6 address stand in brackets.
    if not colon or name.startswith("[") != name.endswith("]"):
        name, port = text, str(default_port)
    bare = name.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and bare == name):
        raise refused(_FORMS)
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
        raise refused("with ports from 1 to 65535")
    return bare, int(port)


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise refused("with the number of a database after the last slash, such as /0")
    return int(text)
