"""What ``bolide up`` runs: made of the settings of a node, written into a folder.

The settings say where browsers connect and what they type, as they do for ``bolide run``; here that
is the balancer's. The nodes behind it get places of their own on loopback, in variables that win
over ``bolide.toml``; all else they read themselves.
"""

import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bolide.core.errors import ConfigurationError
from bolide.core.identity import Role
from bolide.ops.certificates.own_files import PRIVATE, create_file, replace_file
from bolide.ops.up.made_certificates import (
    DAYS,
    LOOPBACK,
    BrowserFiles,
    Files,
    browser_files,
    make_cluster_files,
)
from bolide.ops.up.ports import FreePorts
from bolide.ops.up.procfile import NODE, Line, serialize_procfile
from bolide.server.loopback import is_loopback
from bolide.server.settings import Settings

__all__ = ["MAX_NODES", "Plan", "make_plan"]

MAX_NODES: Final = 64
"""Most nodes on one machine."""

_CLUSTER: Final = "up"
_HOST: Final = "127.0.0.1"
_HTTPS: Final = 443
_FIRST_NODE_PORT: Final = 3001
_MANAGEMENT_AFTER: Final = 100
_REDIRECT_AFTER: Final = 80
_LOOPBACK_HSTS_S: Final = 86_400
"""A browser's memory of localhost is of all that a developer runs there, on whatever port."""
_DRAIN_S: Final = 5
_COOKIE_KEY_BYTES: Final = 32
_HEADING: Final = "Made by `bolide up`, and anew each time it starts."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        folder: Where the files are.
        url: What people type.
        redirect: Where plain HTTP is redirected from; empty if it is not.
        nodes: Names of the nodes.
        lines: The processes, the balancer first.
        management: Management socket of the balancer.
        made: Certificate that was made for browsers; None if the settings name one.
        ends: When the certificates of balancer and nodes end.
    """

    folder: Path
    url: str
    redirect: str
    nodes: tuple[str, ...]
    lines: tuple[Line, ...]
    management: Path
    made: BrowserFiles | None
    ends: datetime


@dataclass(frozen=True, slots=True)
class _Node:
    """Where one node is."""

    name: str
    port: int
    management_port: int
    files: Files


def make_plan(
    folder: Path,
    lines: Sequence[Line],
    settings: Settings,
    now: datetime,
    *,
    nodes: int,
    workers: int = 0,
    redirect_port: int | None = None,
    takes_next_port: bool = False,
) -> Plan:
    """Write certificates, the balancer's settings and a Procfile.

    Args:
        folder: For all of it; made for this user only.
        lines: Of the app's Procfile; the one named ``node`` is run several times.
        settings: Of the app: where browsers connect.
        now: UTC.
        nodes: How many, at most :data:`MAX_NODES`.
        workers: Of the balancer; 0 is one for each processor.
        redirect_port: Where plain HTTP is redirected from; None is one that is free.
        takes_next_port: Whether the next free port does if that of the settings is not free.

    Raises:
        ConfigurationError: If the settings cannot work, a port cannot be had, or nothing can be
            written there.
    """
    _check(settings)
    folder = folder.resolve()
    with FreePorts() as ports:
        if takes_next_port:
            port = ports.first_from(settings.port, settings.host)
        else:
            port = ports.exactly(settings.host, settings.port)
        redirect = _redirect_port(ports, settings, port, redirect_port)
        places = _places(ports, settings, port, nodes)
    url = settings.public_url or f"https://localhost{'' if port == _HTTPS else f':{port}'}"
    names = tuple(f"{NODE}{number}" for number in range(1, nodes + 1))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        members: list[tuple[Role, str]] = [
            ("balancer", "balancer"),
            ("ops", "ops"),
            *(("node", name) for name in names),
        ]
        authority, files = make_cluster_files(folder / "cluster", _CLUSTER, members, now)
        made, shown = _shown_to_browsers(folder, settings, url, now)
        found = [_Node(name, *places[at], files[name]) for at, name in enumerate(names)]
        plan = Plan(
            folder=folder,
            url=url,
            redirect=f"http://{urlsplit(url).hostname}:{redirect}",
            nodes=names,
            lines=_lines(folder, lines, found, settings, url, authority),
            management=folder / "management.sock",
            made=made,
            ends=now + timedelta(days=DAYS),
        )
        _make_cookie_key(folder / "affinity.key")
        toml = _balancer_toml(plan, found, settings, port, redirect, workers, shown, files)
        replace_file(folder / "balancer.toml", toml.encode(), PRIVATE)
        replace_file(
            folder / "Procfile", serialize_procfile(plan.lines, _HEADING).encode(), PRIVATE
        )
    except OSError as error:
        expected = f"a folder that can be written to ({error.strerror})"
        raise ConfigurationError("--state", str(folder), expected) from None
    return plan


def _check(settings: Settings) -> None:
    """Refuse what would not be reached, or not be recognised."""
    if settings.public_url is not None and urlsplit(settings.public_url).scheme != "https":
        expected = "an https:// address, because the balancer speaks TLS only"
        raise ConfigurationError("public_url", settings.public_url, expected)
    if settings.public_url is None and not is_loopback(settings.host):
        raise ConfigurationError(
            "public_url",
            None,
            f"what people type into their browsers: host is {settings.host}, and nodes answer to no"
            " other name",
        )
    if settings.store == "memory:":
        raise ConfigurationError(
            "store", settings.store, "one that several nodes share, such as sqlite:///./bolide.db"
        )


def _redirect_port(ports: FreePorts, settings: Settings, port: int, wanted: int | None) -> int:
    if wanted is not None:
        return ports.exactly(settings.host, wanted, option="--redirect-port")
    if settings.port == 0:
        return ports.first_from(0, settings.host)
    usual = 80 if port == _HTTPS else port + _REDIRECT_AFTER
    return ports.first_from(usual, settings.host)


def _places(ports: FreePorts, settings: Settings, port: int, nodes: int) -> list[tuple[int, int]]:
    """Return ports of each node and its management.

    They are no ephemeral ones, if there is a choice: a node that is started again would find its
    port taken by somebody's connection.
    """
    if settings.port == 0:
        return [(ports.first_from(0), ports.first_from(0)) for _ in range(nodes)]
    first = max(port + 1, _FIRST_NODE_PORT)
    found: list[tuple[int, int]] = []
    for _ in range(nodes):
        own = ports.first_from(first)
        found.append((own, ports.first_from(own + _MANAGEMENT_AFTER)))
        first = own + 1
    return found


def _shown_to_browsers(
    folder: Path, settings: Settings, url: str, now: datetime
) -> tuple[BrowserFiles | None, Files]:
    if settings.tls_cert is not None and settings.tls_key is not None:
        return None, Files(Path(settings.tls_cert).resolve(), Path(settings.tls_key).resolve())
    host = urlsplit(url).hostname or LOOPBACK[0]
    made = browser_files(folder / "browsers", tuple(dict.fromkeys((host, *LOOPBACK))), now)
    return made, made.own


def _make_cookie_key(file: Path) -> None:
    """Keep the key of last time, so that browsers come back to the same node."""
    if not file.exists():
        create_file(file, f"{secrets.token_hex(_COOKIE_KEY_BYTES)}\n".encode(), PRIVATE)


def _lines(
    folder: Path,
    lines: Sequence[Line],
    nodes: Sequence[_Node],
    settings: Settings,
    url: str,
    authority: Path,
) -> tuple[Line, ...]:
    # The command `bolide` is found, whether the virtual environment is active or not.
    path = f"{os.path.dirname(sys.executable)}:$PATH"
    python = shlex.quote(sys.executable)
    toml = shlex.quote(str(folder / "balancer.toml"))
    found = [Line("balancer", f"exec {python} -m bolide.ops balance {toml}")]
    for line in lines:
        if line.name == NODE:
            for node in nodes:
                variables = _variables(node, settings, url, authority)
                found.append(Line(node.name, _exporting(path, variables, line.command)))
        else:
            exported = _exporting(path, {"BOLIDE_PUBLIC_URL": url}, line.command)
            found.append(Line(line.name, exported))
    return tuple(found)


def _exporting(path: str, variables: Mapping[str, str], command: str) -> str:
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return f'export PATH="{path}" {" ".join(words)}; {command}'


def _variables(node: _Node, settings: Settings, url: str, authority: Path) -> dict[str, str]:
    """Return the settings in which this node differs from others."""
    parts = urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    others = [*settings.allowed_origins]
    if parts.hostname in LOOPBACK:
        others += [f"https://{name}{port}" for name in ("localhost", "127.0.0.1", "[::1]")]
    variables = {
        "PORT": str(node.port),
        "BOLIDE_HOST": _HOST,
        "BOLIDE_PORT": str(node.port),
        "BOLIDE_PUBLIC_URL": url,
        "BOLIDE_ALLOWED_ORIGINS": ",".join(others),
        "BOLIDE_MANAGEMENT_HOST": _HOST,
        "BOLIDE_MANAGEMENT_PORT": str(node.management_port),
        "BOLIDE_CLUSTER": _CLUSTER,
        "BOLIDE_TLS_CERT": str(node.files.chain),
        "BOLIDE_TLS_KEY": str(node.files.key),
        "BOLIDE_TLS_CLIENT_CA": str(authority),
        "BOLIDE_TLS_DENIED": "",
        "BOLIDE_ANNOUNCE": "",
    }
    # From elsewhere the nodes have it themselves: commands are seen by all users of a machine.
    if settings.origins.get("store", "").startswith("flag "):
        variables["BOLIDE_STORE"] = settings.store
    return variables


def _balancer_toml(
    plan: Plan,
    nodes: Sequence[_Node],
    settings: Settings,
    port: int,
    redirect_port: int,
    workers: int,
    shown: Files,
    files: Mapping[str, Files],
) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    text = partial(json.dumps, ensure_ascii=False)
    lines = [
        f"# {_HEADING}",
        f"cluster = {text(_CLUSTER)}",
        f"listen = [{text(f'{host}:{port}')}]",
        f"redirect = [{text(f'{host}:{redirect_port}')}]",
        f"https_port = {urlsplit(plan.url).port or _HTTPS}",
        f"workers = {workers}",
        f"management = {text(str(plan.management))}",
        f"drain_s = {_DRAIN_S}",
    ]
    if is_loopback(settings.host):
        lines.append(f"hsts_s = {_LOOPBACK_HSTS_S}")
    lines += [
        "\n[[certificate]]",
        f"chain = {text(str(shown.chain))}",
        f"key = {text(str(shown.key))}",
        "\n[affinity]",
        f"keys = [{text(str(plan.folder / 'affinity.key'))}]",
        "\n[nodes.tls]",
        f"ca = {text(str(plan.folder / 'cluster' / 'ca.pem'))}",
        f"chain = {text(str(files['balancer'].chain))}",
        f"key = {text(str(files['balancer'].key))}",
    ]
    for node in nodes:
        lines += [
            "\n[[nodes.static]]",
            f"name = {text(node.name)}",
            f"address = {text(f'{_HOST}:{node.port}')}",
            f"management = {text(f'{_HOST}:{node.management_port}')}",
        ]
    return "\n".join(lines) + "\n"
