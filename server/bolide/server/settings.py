"""The settings of a node, each with the place it came from."""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, cast

from bolide.core.errors import ConfigurationError
from bolide.core.identity import is_name
from bolide.server.limits import Limits
from bolide.server.loopback import is_loopback
from bolide.server.typed_urls import shown_as_typed

__all__ = ["DEFAULT_FILE", "Settings", "UnknownSetting", "parse_flag", "read_settings"]

DEFAULT_FILE: Final = Path("bolide.toml")
# How tomllib ends most of its texts.
_PLACE: Final = re.compile(r"\((at line \d+, column \d+|at end of document)\)$")

_PREFIX: Final = "BOLIDE_"
# Variables of our own tests and scripts.
_FOREIGN: Final = ("BOLIDE_TESTS_", "BOLIDE_MONGOD", "BOLIDE_REDIS_SERVER", "BOLIDE_PYTHON27")
_MAY_HOLD_SECRETS: Final = frozenset({"redis", "store"})


class UnknownSetting(ConfigurationError):
    """A name that is no setting; a slip of the pen would go unnoticed otherwise."""

    code: ClassVar[str] = "unknown-setting"

    def __init__(self, option: str, nearest: str | None) -> None:
        """Keep the name.

        Args:
            option: As the operator wrote it.
            nearest: What was probably meant, spelled the same way; None if nothing is near.
        """
        super().__init__(option, None, nearest or "a setting")
        self.nearest = nearest

    def __str__(self) -> str:
        """Say what was probably meant."""
        if self.nearest is None:
            return f"{self.option} is no setting of Bolide; without it, `bolide doctor` lists them."
        return f"{self.option} is no setting of Bolide: did you mean {self.nearest}?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a node runs.

    Attributes:
        host: Address it listens on.
        port: Port it listens on; 0 is any free one.
        store: URL of the store: ``sqlite:///path``, ``mongodb://...`` or ``memory:``.
        public_url: What people type into their browsers, such as ``https://ward.example.org``;
            None: the node is only reached at its own address.
        allowed_origins: Other origins whose pages may connect.
        insecure_dev: Show the texts of errors on the terminal; on loopback only.
        insecure_store: Let a database on another machine be used without TLS or a password.
        redis: URL of a Redis that the nodes share, such as ``rediss://:password@host``; None: there
            is none.
        insecure_redis: Let a Redis on another machine be used without TLS or a password.
        redis_stream: Name of the stream in which other programs tell what they wrote.
        management_host: Address of the management listener: health, metrics, drain.
        management_port: Its port; 0 is any free one, None: there is no such listener.
        tls_cert: PEM file with the node's certificate, None for plain HTTP.
        tls_key: PEM file with its key.
        cluster: Name of the cluster in the certificates of its balancers.
        tls_client_ca: PEM file with the authorities of the cluster; a node that has it takes
            balancers only.
        tls_denied: File with fingerprints of certificates that are refused all the same.
        announce: Host at which balancers reach this node; it is announced in the store. None: it
            is not, and balancers know it from elsewhere.
        announce_weight: Share of new sessions beside other nodes that are announced.
        build_id: What clients are told of the build; None: made of the pages' content.
        publication_timeout_s: Until a publish function is ready, seconds.
        method_timeout_s: Until the session's queue goes on without a method, seconds.
        heartbeat_interval_s: Silence after which a client is asked for a sign of life, seconds.
        heartbeat_timeout_s: Until it must have answered, seconds.
        call_wait_s: How long a repeated call waits for its first run elsewhere, seconds.
        call_memory_s: How long the outcome of a call is kept for a repeat, seconds.
        job_lease_s: Time within which a lost node's job runs elsewhere, seconds.
        poll_interval_s: When a polled live query is read again if no change is heard of, seconds.
        presence_lease_s: Silence after which another node, and who is present there, is gone,
            seconds; the same on all nodes.
        limits: What one session may use.
        origins: Name of each setting and limit -> where its value came from.

    Raises:
        ConfigurationError: If a value cannot work.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    store: str = field(default="sqlite:///./bolide.db", repr=False)
    public_url: str | None = None
    allowed_origins: Sequence[str] = ()
    insecure_dev: bool = False
    insecure_store: bool = False
    redis: str | None = field(default=None, repr=False)
    insecure_redis: bool = False
    redis_stream: str = "bolide:hints"
    management_host: str = "127.0.0.1"
    management_port: int | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    cluster: str | None = None
    tls_client_ca: str | None = None
    tls_denied: str | None = None
    announce: str | None = None
    announce_weight: float = 1
    build_id: str | None = None
    publication_timeout_s: float = 30
    method_timeout_s: float = 60
    heartbeat_interval_s: float = 15
    heartbeat_timeout_s: float = 15
    call_wait_s: float = 10
    call_memory_s: float = 86_400
    job_lease_s: float = 30
    poll_interval_s: float = 10
    presence_lease_s: float = 30
    limits: Limits = field(default_factory=Limits)
    origins: Mapping[str, str] = field(default_factory=dict[str, str], compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in _KINDS:
            _check(name, getattr(self, name), name)
        if self.insecure_dev and not is_loopback(self.host):
            raise ConfigurationError("insecure_dev", True, "off, unless host is 127.0.0.1 or ::1")
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_key", "tls_cert") if self.tls_key else ("tls_cert", "tls_key")
            spell = _spelling(self.origins.get(given, ""))
            raise ConfigurationError(spell(missing), None, f"set together with {spell(given)}")
        for given, missing in (
            ("tls_client_ca", "tls_cert"),
            ("tls_client_ca", "cluster"),
            ("cluster", "tls_client_ca"),
            ("tls_denied", "tls_client_ca"),
            ("announce", "tls_client_ca"),
        ):
            if getattr(self, given) is not None and getattr(self, missing) is None:
                spell = _spelling(self.origins.get(given, ""))
                raise ConfigurationError(spell(missing), None, f"set together with {spell(given)}")


def read_settings(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Read the settings: a flag wins over a variable, a variable over the file, that over defaults.

    Args:
        flags: Name -> value of the command line; None values were not given.
        environment: Variables by name, such as ``os.environ``; ``BOLIDE_PORT`` sets ``port``.
        file: A TOML file with settings and limits at its top level; None is ``bolide.toml`` in
            the working directory if there is one.

    Raises:
        ConfigurationError: If a name is unknown or a value cannot work; it names the place.
    """
    given: dict[str, Any] = {}
    origins = dict.fromkeys((*_KINDS, *_LIMITS), "default")

    def take(name: str, value: Any, option: str, place: str) -> None:
        _check(name, value, option)
        given[name] = value
        origins[name] = place

    for key, value in _read_file(file).items():
        _check_known(key, key, str)
        take(key, value, key, str(file or DEFAULT_FILE))
    for variable, text in (environment or {}).items():
        if variable.startswith(_PREFIX) and not variable.startswith(_FOREIGN):
            name = variable.removeprefix(_PREFIX).lower()
            _check_known(name, variable, _variable)
            take(name, _from_text(name, text, variable), variable, f"environment {variable}")
    for name, value in (flags or {}).items():
        if value is not None:
            _check_known(name, _flag(name), _flag)
            take(name, value, _flag(name), f"flag {_flag(name)}")
    limits = Limits(**{name: given.pop(name) for name in _LIMITS if name in given})
    return Settings(**given, limits=limits, origins=MappingProxyType(origins))


# Whatever the setting is made of.
def parse_flag(name: str, text: str) -> Any:
    """Read the text of a flag as that of a variable is read.

    Args:
        name: Of the setting.
        text: What the operator typed.

    Raises:
        ConfigurationError: If it cannot work; it names the flag.
    """
    value = _from_text(name, text, _flag(name))
    _check(name, value, _flag(name))
    return value


# Values of TOML.
def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None and not DEFAULT_FILE.is_file():
        return {}
    path = file or DEFAULT_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # The place only: the rest of the text may quote a secret.
        found = _PLACE.search(str(error)) if isinstance(error, tomllib.TOMLDecodeError) else None
        expected = f"readable TOML: look {found[1]}" if found else "readable TOML"
        raise ConfigurationError("The settings file", str(path), expected) from error


def _variable(name: str) -> str:
    return _PREFIX + name.upper()


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _spelling(origin: str) -> Callable[[str], str]:
    """Return how settings are spelled where one came from."""
    if origin.startswith("flag "):
        return _flag
    return _variable if origin.startswith("environment ") else str


def _check_known(name: str, option: str, spell: Callable[[str], str]) -> None:
    """Refuse a name that is no setting."""
    known = (*_KINDS, *_LIMITS)
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    raise UnknownSetting(option, spell(near[0]) if near else None)


def _check(name: str, value: Any, option: str) -> None:
    """Refuse a value that cannot work.

    Raises:
        ConfigurationError: It repeats the value, unless that may hold a secret.
    """
    kind = _LIMIT if name in _LIMITS else _KINDS[name]
    if not kind.is_good(value):
        raise ConfigurationError(option, _shown(name, value), kind.expected)


def _from_text(name: str, text: str, option: str) -> Any:
    kind = _LIMIT if name in _LIMITS else _KINDS[name]
    try:
        return kind.parse(text)
    except ValueError:
        raise ConfigurationError(option, _shown(name, text), kind.expected) from None


def _shown(name: str, value: Any) -> Any:
    return shown_as_typed(value) if name in _MAY_HOLD_SECRETS else value


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a setting may be.

    Attributes:
        is_good: Tells whether a value works.
        parse: Makes a value of a variable's text; raises ValueError.
        expected: The end of a sentence.
    """

    is_good: Callable[[Any], bool]
    parse: Callable[[str], Any]
    expected: str

    def or_none(self) -> "_Kind":
        """Return the kind that None is good for, too; an empty variable is None."""
        return _Kind(
            lambda value: value is None or self.is_good(value),
            lambda text: self.parse(text) if text else None,
            self.expected,
        )


def _parse_switch(text: str) -> bool:
    switch = {"1": True, "true": True, "0": False, "false": False, "": False}.get(text.lower())
    if switch is None:
        raise ValueError
    return switch


def _parse_whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


def _is_whole(value: Any, least: int, most: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_text, cast("Sequence[Any]", value)))


def _is_stream_name(value: Any) -> bool:
    return _is_text(value) and value.isprintable() and not {" ", "{", "}"} & {*value}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_seconds(value: Any) -> bool:
    return _is_number(value) and 0 < value < math.inf


def _is_host(value: Any) -> bool:
    if not _is_text(value):
        return False
    try:
        return bool(ip_address(value))
    except ValueError:
        return _HOST(value) is not None


_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})").fullmatch
_MOST_WEIGHT: Final = 1_000
# A sixth of it is the time for a write to the store.
_LEAST_LEASE_S: Final = 3
_TEXT: Final = _Kind(_is_text, str, "a text that is not empty")
_PORT: Final = _Kind(lambda value: _is_whole(value, 0, 65535), _parse_whole, "a port, 0 to 65535")
_SECONDS: Final = _Kind(_is_seconds, float, "a number of seconds above 0")
_LIMIT: Final = _Kind(
    lambda value: _is_whole(value, 1, math.inf), _parse_whole, "a whole number above 0"
)
_SWITCH: Final = _Kind(lambda value: isinstance(value, bool), _parse_switch, "true or false")
_KINDS: Final[Mapping[str, _Kind]] = {
    "host": _TEXT,
    "port": _PORT,
    "store": _TEXT,
    "public_url": _TEXT.or_none(),
    "allowed_origins": _Kind(
        _is_texts,
        lambda text: tuple([part.strip() for part in text.split(",")] if text else ()),
        "a list of origins such as https://ward.example.org, with commas between them",
    ),
    "insecure_dev": _SWITCH,
    "insecure_store": _SWITCH,
    "redis": _TEXT.or_none(),
    "insecure_redis": _SWITCH,
    "redis_stream": _Kind(_is_stream_name, str, "a name without spaces and braces"),
    "management_host": _TEXT,
    "management_port": _PORT.or_none(),
    "tls_cert": _TEXT.or_none(),
    "tls_key": _TEXT.or_none(),
    "cluster": _Kind(
        lambda value: isinstance(value, str) and is_name(value),
        str,
        "a name of small letters, digits, dots and hyphens",
    ).or_none(),
    "tls_client_ca": _TEXT.or_none(),
    "tls_denied": _TEXT.or_none(),
    "announce": _Kind(_is_host, str, "a host name or an IP address, without port").or_none(),
    "announce_weight": _Kind(
        lambda value: _is_number(value) and 0 <= value <= _MOST_WEIGHT,
        float,
        f"a number, 0 to {_MOST_WEIGHT}",
    ),
    "build_id": _TEXT.or_none(),
    "publication_timeout_s": _SECONDS,
    "method_timeout_s": _SECONDS,
    "heartbeat_interval_s": _SECONDS,
    "heartbeat_timeout_s": _SECONDS,
    "call_wait_s": _SECONDS,
    "call_memory_s": _SECONDS,
    "presence_lease_s": _SECONDS,
    "job_lease_s": _Kind(
        lambda value: _is_seconds(value) and value >= _LEAST_LEASE_S,
        float,
        f"a number of seconds, {_LEAST_LEASE_S} at least",
    ),
    "poll_interval_s": _SECONDS,
}
_LIMITS: Final = tuple(limit.name for limit in fields(Limits))
