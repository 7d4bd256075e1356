"""Read ``balancer.toml``: every value is good, or the first bad one is told with its line."""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec

from bolide.balancer.members.member import Member
from bolide.balancer.settings.errors import FileRefused, SettingRefused, UnknownSetting
from bolide.balancer.settings.files import (
    check_appendable,
    check_authorities,
    check_closed,
    check_pair,
    end_of,
    read_denied,
    read_key,
)
from bolide.balancer.settings.kinds import (
    ADDRESS,
    ADDRESSES,
    COUNT,
    LIMIT,
    NAME,
    NETWORKS,
    PATH,
    PATHS,
    PORT,
    SECONDS,
    SECONDS_OR_ZERO,
    SWITCH,
    TEXT,
    URL_PATH,
    WEIGHT,
    WHOLE_SECONDS,
    WHOLE_SECONDS_OR_ZERO,
    Kind,
    choice,
)
from bolide.balancer.settings.places import KeyPath, lines_of_keys
from bolide.balancer.settings.settings import (
    AffinitySettings,
    BalancerSettings,
    DNSName,
    HealthSettings,
    NodesSettings,
    NodeTLSSettings,
)
from bolide.balancer.worker.messages import Limits, ServerCertificate

__all__ = ["SECTIONS", "read_settings"]

_Seen = TypeVar("_Seen")

_MAX_BYTES: Final = 1_048_576
_HIDDEN: Final = frozenset({"registry"})
_LINE: Final = re.compile(r"at line (\d+)")
_STANDARD_OUTPUT: Final = "-"
_MAX_SOCKET_PATH: Final = 107
"""Bytes of a Unix socket's path, ``unix(7)``."""

SECTIONS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "": {
        "cluster": NAME,
        "listen": ADDRESSES,
        "proxied_listen": ADDRESSES,
        "proxied_from": NETWORKS,
        "redirect": ADDRESSES,
        "https_port": PORT,
        "workers": COUNT,
        "management": PATH,
        "access_log": PATH,
        "policy": choice("two-choices", "round-robin"),
        "slow_start_s": SECONDS_OR_ZERO,
        "hsts_s": WHOLE_SECONDS_OR_ZERO,
        "retry_after_s": WHOLE_SECONDS,
        "drain_s": SECONDS_OR_ZERO,
    },
    "certificate": {"chain": PATH, "key": PATH},
    "nodes": {
        "registry": TEXT,
        "insecure_registry": SWITCH,
        "verify": choice("role", "name", "off"),
        "lookup_interval_s": SECONDS,
    },
    "nodes.static": {
        "name": NAME,
        "address": ADDRESS,
        "management": ADDRESS,
        "weight": WEIGHT,
        "max_connections": COUNT,
        "server_name": TEXT,
    },
    "nodes.dns": {
        "address": ADDRESS,
        "management_port": PORT,
        "weight": WEIGHT,
        "max_connections": COUNT,
    },
    "nodes.tls": {"ca": PATH, "chain": PATH, "key": PATH, "denied": PATH},
    "affinity": {"keys": PATHS, "max_age_s": WHOLE_SECONDS},
    "health": {
        "path": URL_PATH,
        "interval_s": SECONDS,
        "timeout_s": SECONDS,
        "rise": LIMIT,
        "fall": LIMIT,
        "eject_after": LIMIT,
        "eject_window_s": SECONDS,
        "eject_s": SECONDS,
        "max_eject_s": SECONDS,
    },
    "limits": {
        limit.name: COUNT if limit.default == 0 else LIMIT if limit.type is int else SECONDS
        for limit in msgspec.structs.fields(Limits)
    },
}
"""Table -> its settings; tables within it are not in it. Arrays of tables are called as one."""

_TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "": {
        "certificate": "array",
        "nodes": "table",
        "affinity": "table",
        "health": "table",
        "limits": "table",
    },
    "nodes": {"static": "array", "dns": "array", "tls": "table"},
}
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("cluster",),
    "certificate": ("chain", "key"),
    "nodes.static": ("name", "address"),
    "nodes.dns": ("address",),
}


def read_settings(file: Path) -> BalancerSettings:
    """Read the settings of a balancer, and look at the files that they name.

    Args:
        file: TOML; paths in it start at its folder.

    Raises:
        ConfigurationError: If it cannot be read, a name is unknown, or a value or a file cannot
            be used.
    """
    return _Reader(file).read()


@dataclass(frozen=True, slots=True)
class _Table:
    """A table that was read.

    Attributes:
        path: Where it stands.
        values: Its settings that were given.
        tables: Tables in it, those of arrays in a list.
    """

    path: KeyPath
    values: dict[str, Any]
    tables: dict[str, "list[_Table]"]

    def one(self, name: str) -> "_Table":
        """Return a table in it; an empty one if it was not given."""
        return self.tables[name][0] if name in self.tables else _Table((*self.path, name), {}, {})

    def each(self, name: str) -> "list[_Table]":
        """Return the tables of an array in it."""
        return self.tables.get(name, [])


class _Reader:
    """Reads one file.

    Args:
        file: Its path.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._places: dict[KeyPath, int] = {}

    def read(self) -> BalancerSettings:
        text = self._text()
        raw = self._parse(text)
        self._places = lines_of_keys(text)
        root = self._table(raw, (), "")
        nodes, affinity = root.one("nodes"), root.one("affinity")
        static = [self._member(table) for table in nodes.each("static")]
        settings = BalancerSettings(
            file=str(self._file),
            **root.values,
            certificate=tuple(ServerCertificate(**one.values) for one in root.each("certificate")),
            nodes=NodesSettings(
                **nodes.values,
                static=tuple(static),
                dns=tuple(DNSName(**one.values) for one in nodes.each("dns")),
                tls=NodeTLSSettings(**nodes.one("tls").values),
            ),
            affinity=AffinitySettings(**affinity.values),
            health=HealthSettings(**root.one("health").values),
            limits=Limits(**root.one("limits").values),
        )
        self._check(settings)
        return self._with_files(settings)

    def _text(self) -> str:
        expected = "a readable file of UTF-8 text"
        try:
            with self._file.open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
        except OSError as error:
            expected = f"a file that can be read ({error.strerror})"
            raise FileRefused(str(self._file), None, expected) from None
        try:
            if len(data) > _MAX_BYTES:
                expected = f"no longer than {_MAX_BYTES} bytes"
                raise ValueError
            return data.decode()
        except ValueError:
            raise FileRefused(str(self._file), None, expected) from None

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            # The place only: the rest may quote a secret.
            found = _LINE.search(str(error))
            line = int(found[1]) if found else text.count("\n") + 1
            expected = (
                'TOML: a line such as name = "value" that stands once, texts in quotes, or a'
                " [table]; a table of which there may be several is [[table]]"
            )
            raise FileRefused(str(self._file), line, expected) from None

    def _table(self, raw: dict[str, Any], path: KeyPath, section: str) -> _Table:
        kinds, inner = SECTIONS[section], _TABLES.get(section, {})
        table = _Table(path, {}, {})
        for name, value in raw.items():
            at = (*path, name)
            if name in kinds:
                table.values[name] = self._value(at, value, kinds[name])
            elif name in inner:
                table.tables[name] = self._inner(at, value, inner[name], section)
            else:
                self._refuse_unknown(at, name, [*kinds, *inner])
        for name in _REQUIRED.get(section, ()):
            if name not in table.values:
                self._refuse((*path, name), None, kinds[name].expected)
        return table

    def _inner(self, at: KeyPath, value: Any, form: str, section: str) -> list[_Table]:
        name = f"{section}.{at[-1]}" if section else str(at[-1])
        if form == "table":
            if not isinstance(value, dict):
                self._refuse(at, value, f"a table: write [{name}] above its settings")
            return [self._table(cast("dict[str, Any]", value), at, name)]
        items: Sequence[Any] = ()
        if isinstance(value, list):
            items = cast("Sequence[Any]", value)
        if not (items and all(isinstance(item, dict) for item in items)):
            self._refuse(at, value, f"an array of tables: write [[{name}]] above each")
        return [self._table(item, (*at, number), name) for number, item in enumerate(items)]

    def _value(self, at: KeyPath, value: Any, kind: Kind) -> Any:
        try:
            converted = kind.convert(value)
        except ValueError:
            self._refuse(at, value, kind.expected)
        if not kind.is_path:
            return converted
        return self._from_folder(converted)

    def _from_folder(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._from_folder, cast("tuple[str, ...]", value)))
        return value if value == _STANDARD_OUTPUT else str(self._file.parent.absolute() / value)

    def _member(self, table: _Table) -> Member:
        return Member(**table.values)

    def _check(self, settings: BalancerSettings) -> None:
        """Refuse what is good alone and not together."""
        if not (settings.listen or settings.proxied_listen):
            self._refuse(("listen",), None, 'where browsers connect, such as ["0.0.0.0:443"]')
        if settings.proxied_listen and not settings.proxied_from:
            expected = 'the networks of the proxies in front, such as ["10.0.0.7/32"]'
            self._refuse(("proxied_from",), None, expected)
        self._check_listeners(settings)
        if not settings.certificate:
            expected = "the certificates for browsers: [[certificate]] with chain and key"
            self._refuse(("certificate",), None, expected)
        if len(settings.management.encode()) > _MAX_SOCKET_PATH:
            expected = f"a path of {_MAX_SOCKET_PATH} bytes at most"
            self._refuse(("management",), settings.management, expected)
        health = settings.health
        if health.max_eject_s < health.eject_s:
            expected = f"at least eject_s, {health.eject_s:g}"
            self._refuse(("health", "max_eject_s"), health.max_eject_s, expected)
        self._check_nodes(settings.nodes)

    def _check_listeners(self, settings: BalancerSettings) -> None:
        seen: set[Any] = set()
        for name in ("listen", "proxied_listen", "redirect"):
            for address in getattr(settings, name):
                if address in seen and address.port:
                    expected = "an address of its own: it stands in another place, too"
                    self._refuse((name,), str(address), expected)
                seen.add(address)

    def _check_nodes(self, nodes: NodesSettings) -> None:
        if not (nodes.static or nodes.dns or nodes.registry):
            expected = "there: write [[nodes.static]] with name and address, [[nodes.dns]], or"
            self._refuse(("nodes",), None, f"{expected} registry")
        names: set[str] = set()
        addresses: set[Any] = set()
        for number, member in enumerate(nodes.static):
            at: KeyPath = ("nodes", "static", number)
            if member.name in names:
                self._refuse((*at, "name"), member.name, "a name that no other node has")
            if member.address in addresses:
                expected = "an address that no other node has: one process is one node"
                self._refuse((*at, "address"), str(member.address), expected)
            names.add(member.name)
            addresses.add(member.address)
        if nodes.verify == "off":
            self._check_loopback(nodes)
            return
        needed = ("ca", "chain", "key") if nodes.verify == "role" else ()
        for name in needed:
            if not getattr(nodes.tls, name):
                expected = 'the path of a PEM file, because verify is "role"'
                self._refuse(("nodes", "tls", name), None, expected)
        if bool(nodes.tls.chain) != bool(nodes.tls.key):
            missing = "key" if nodes.tls.chain else "chain"
            self._refuse(("nodes", "tls", missing), None, "set: chain and key belong together")

    def _check_loopback(self, nodes: NodesSettings) -> None:
        expected = 'on loopback, because verify is "off": nothing else may be crossed in plain text'
        for number, member in enumerate(nodes.static):
            for name, address in (("address", member.address), ("management", member.management)):
                if address is not None and not address.is_loopback:
                    self._refuse(("nodes", "static", number, name), str(address), expected)
        for number, dns in enumerate(nodes.dns):
            if not dns.address.is_loopback:
                self._refuse(("nodes", "dns", number, "address"), str(dns.address), expected)

    def _with_files(self, settings: BalancerSettings) -> BalancerSettings:
        """Refuse files that cannot be used; return the settings with what stands in them."""
        look = self._look
        for number, one in enumerate(settings.certificate):
            self._look_at_pair(("certificate", number), one.chain, one.key)
        nodes = settings.nodes
        denied: frozenset[str] = frozenset()
        if nodes.verify != "off":
            if nodes.tls.ca:
                look(check_authorities, ("nodes", "tls", "ca"), nodes.tls.ca)
            if nodes.tls.chain:
                self._look_at_pair(("nodes", "tls"), nodes.tls.chain, nodes.tls.key)
            if nodes.tls.denied:
                denied = look(read_denied, ("nodes", "tls", "denied"), nodes.tls.denied)
        if settings.access_log not in ("", _STANDARD_OUTPUT):
            look(check_appendable, ("access_log",), settings.access_log)
        keys = tuple(look(read_key, ("affinity", "keys"), key) for key in settings.affinity.keys)
        ends = {
            f"certificate[{number}]": look(end_of, ("certificate", number - 1, "chain"), one.chain)
            for number, one in enumerate(settings.certificate, start=1)
        }
        if nodes.verify != "off" and nodes.tls.chain:
            ends["nodes.tls"] = look(end_of, ("nodes", "tls", "chain"), nodes.tls.chain)
        return replace(settings, cookie_keys=keys, denied=denied, certificate_ends=ends)

    def _look_at_pair(self, at: KeyPath, chain: str, key: str) -> None:
        self._look(check_authorities, (*at, "chain"), chain)
        self._look(check_closed, (*at, "key"), key)
        self._look(partial(check_pair, chain), (*at, "key"), key)

    def _look(self, look: Callable[[str], _Seen], at: KeyPath, file: str) -> _Seen:
        try:
            return look(file)
        except ValueError as error:
            self._refuse(at, file, str(error))

    def _refuse(self, path: KeyPath, value: Any, expected: str) -> NoReturn:
        shown = "(hidden)" if value is not None and path[-1] in _HIDDEN else value
        raise SettingRefused(str(self._file), self._line(path), _option(path), shown, expected)

    def _refuse_unknown(self, path: KeyPath, name: str, known: list[str]) -> NoReturn:
        near = difflib.get_close_matches(name, known, n=1)
        nearest = _option((*path[:-1], near[0])) if near else None
        raise UnknownSetting(str(self._file), self._line(path), _option(path), nearest)

    def _line(self, path: KeyPath) -> int | None:
        """Return the line of a key; of its table if the key is not there."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places.get(path)


def _option(path: KeyPath) -> str:
    """Write a path as ``nodes.static[1].name``, counting from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text
