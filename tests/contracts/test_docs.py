import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from bolide.balancer.management.metrics import FAMILIES
from bolide.balancer.members.member import Member
from bolide.balancer.settings.places import lines_of_keys
from bolide.balancer.settings.reading import SECTIONS
from bolide.balancer.settings.settings import (
    AffinitySettings,
    BalancerSettings,
    DNSName,
    HealthSettings,
    NodesSettings,
    NodeTLSSettings,
)
from bolide.balancer.worker.messages import Limits as WorkerLimits
from bolide.balancer.worker.messages import ServerCertificate
from bolide.client.limits import ClientLimits
from bolide.core.errors import MethodError
from bolide.ops.cli import app as command
from bolide.server.limits import Limits
from bolide.server.settings import Settings
from bolide.server.testing import TestNode

_ROOT = Path(__file__).parents[2]
_PAGES = sorted([_ROOT / "README.md", _ROOT / "SECURITY.md", *(_ROOT / "docs").rglob("*.md")])
_TUTORIAL = _ROOT / "docs" / "tutorial" / "first-app.md"
_FRAGMENTS = sorted((_ROOT / "newsfragments").glob("*.md"))
_NOT_SETTINGS = {"limits", "origins"}
_SETTINGS = {setting.name for setting in fields(Settings)} - _NOT_SETTINGS
_LIMITS = {limit.name for limit in fields(Limits)}
_BALANCER_TABLES: dict[str, type[Any]] = {
    "At the top": BalancerSettings,
    "`[[certificate]]`": ServerCertificate,
    "`[nodes]`": NodesSettings,
    "`[[nodes.static]]`": Member,
    "`[[nodes.dns]]`": DNSName,
    "`[nodes.tls]`": NodeTLSSettings,
    "`[affinity]`": AffinitySettings,
    "`[health]`": HealthSettings,
    "`[limits]`": WorkerLimits,
}
_BALANCER_SETTINGS = {name for table in SECTIONS.values() for name in table}
_CLIENT_LIMITS = {limit.name for limit in fields(ClientLimits)}
# Variables that are no settings: of `bolide ca`, of the tests, and of the scripts.
_OTHER_VARIABLES = {
    "BOLIDE_CA_PASSPHRASE",
    "BOLIDE_MONGOD",
    "BOLIDE_PYTHON27",
    "BOLIDE_TESTS_AWAY_S",
    "BOLIDE_TESTS_COUNTER_UPDATES",
    "BOLIDE_TESTS_FENCES",
    "BOLIDE_TESTS_JOINS",
    "BOLIDE_TESTS_KILLS",
    "BOLIDE_TESTS_MESSAGES_PER_S",
    "BOLIDE_TESTS_PERSONS",
    "BOLIDE_TESTS_SCHEDULES",
    "BOLIDE_TESTS_SEED",
    "BOLIDE_TESTS_SHRINK",
    "BOLIDE_TESTS_STORE_KILLS",
    "BOLIDE_TESTS_SUBSCRIPTIONS",
    "BOLIDE_TESTS_TIMEOUT_FACTOR",
    "BOLIDE_TESTS_TRANSACTIONS",
    "BOLIDE_TESTS_WARD",
}

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"into `([\w.]+)`[^\n]*\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_VARIABLE = re.compile(r"\bBOLIDE_[A-Z0-9_]+\b")
_LIMIT_NAME = re.compile(r"`(max_[a-z_]+|[a-z_]+_timeout_s|[a-z_]+_interval_s)(?:=[^`]*)?`")
_COMMAND = re.compile(r"(?:^|`|\s)bolide ([a-z]+)\b")
_CLIENT_TIMES = {
    "connect_timeout_s", "heartbeat_interval_s", "heartbeat_timeout_s", "catch_up_timeout_s",
}  # fmt: skip


def _name(page: Path) -> str:
    return str(page.relative_to(_ROOT))


def _blocks(page: Path, language: str) -> Iterator[str]:
    for _, found, code in _FENCE.findall(page.read_text()):
        if found == language:
            yield code


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def _table(page: Path, columns: int) -> dict[str, list[str]]:
    """Return the rows whose first cell is a name in backquotes, by that name."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", page.read_text(), re.MULTILINE)
    cells = {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}
    assert all(len(row) == columns - 1 for row in cells.values())
    return cells


def test_there_are_pages() -> None:
    assert len(_PAGES) > 10


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_every_relative_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    for link in _LINK.findall(_prose(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in _anchors(target), f"{link} has no such heading"


def test_every_page_of_the_docs_is_in_the_table_of_contents() -> None:
    index = _ROOT / "docs" / "index.md"
    listed = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text())}
    pages = {page for page in _PAGES if page.is_relative_to(index.parent)} - {index}
    assert pages <= listed


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_every_python_block_compiles(page: Path) -> None:
    for number, code in enumerate(_blocks(page, "python"), 1):
        compile(code, f"{_name(page)}, block {number}", "exec")


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_every_toml_and_json_block_can_be_read(page: Path) -> None:
    for code in _blocks(page, "toml"):
        tomllib.loads(code)
    for code in _blocks(page, "json"):
        json.loads(code)


@pytest.mark.parametrize("page", [*_PAGES, *_FRAGMENTS], ids=_name)
def test_every_variable_is_a_setting_or_a_limit(page: Path) -> None:
    known = {f"BOLIDE_{name.upper()}" for name in _SETTINGS | _LIMITS} | _OTHER_VARIABLES
    assert set(_VARIABLE.findall(page.read_text())) <= known


@pytest.mark.parametrize("page", [*_PAGES, *_FRAGMENTS], ids=_name)
def test_every_limit_and_time_that_is_named_exists(page: Path) -> None:
    known = _SETTINGS | _LIMITS | _CLIENT_LIMITS | _CLIENT_TIMES | _BALANCER_SETTINGS
    assert set(_LIMIT_NAME.findall(page.read_text())) <= known


@pytest.mark.parametrize(
    "page",
    [_ROOT / "README.md", *(_ROOT / "docs" / "tutorial").glob("*.md"), *_FRAGMENTS],
    ids=_name,
)
def test_every_command_exists(page: Path) -> None:
    known = set(getattr(get_command(command), "commands", {}))
    assert known >= {"run", "watch", "call"}
    assert set(_COMMAND.findall(page.read_text())) <= known


def test_the_settings_page_lists_each_setting_with_its_default() -> None:
    rows = _table(_ROOT / "docs" / "reference" / "settings.md", 4)
    assert rows.keys() == _SETTINGS
    defaults = Settings()
    for name, (_, shown, _) in rows.items():
        default: object = getattr(defaults, name)
        wanted = "off" if default is False else "none" if default in (None, ()) else str(default)
        assert shown.strip("`") == wanted, name


def test_the_limits_page_lists_each_limit_with_its_default() -> None:
    text = (_ROOT / "docs" / "reference" / "limits.md").read_text()
    ours, client = text.split("## The Python SDK")
    for part, limits in ((ours, Limits()), (client, ClientLimits())):
        rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", part, re.MULTILINE))
        assert rows == {limit.name: str(getattr(limits, limit.name)) for limit in fields(limits)}


def _default_of(kind: type[Any], name: str) -> str:
    """Return how a page writes the default of a field of a dataclass or a Struct."""
    parameter = signature(kind).parameters[name]
    if parameter.default is Parameter.empty:
        return "required"
    if parameter.default in (None, (), ""):
        return "none"
    is_switch = isinstance(parameter.default, bool)
    return str(parameter.default).lower() if is_switch else str(parameter.default)


@pytest.mark.parametrize("heading", _BALANCER_TABLES)
def test_the_balancer_page_lists_each_setting_with_its_default(heading: str) -> None:
    text = (_ROOT / "docs" / "reference" / "balancer.md").read_text()
    (part,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", part, re.MULTILINE))
    names = SECTIONS[heading.strip("`[]") if heading != "At the top" else ""]
    kind = _BALANCER_TABLES[heading]
    assert {name: shown.strip("`") for name, shown in rows.items()} == {
        name: _default_of(kind, name) for name in names
    }


def test_the_balancer_page_lists_each_metric() -> None:
    text = (_ROOT / "docs" / "reference" / "balancer.md").read_text()
    (part,) = re.findall(r"^## Metrics\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", part, re.MULTILINE))
    assert rows == {family.name: family.kind for family in FAMILIES}


def test_the_file_of_the_balancer_page_has_settings_only() -> None:
    (text,) = _blocks(_ROOT / "docs" / "reference" / "balancer.md", "toml")
    for path in lines_of_keys(text):
        *table, key = [part for part in path if isinstance(part, str)]
        assert ".".join([*table, key]) in SECTIONS or key in SECTIONS[".".join(table)], path


def test_the_settings_page_names_only_flags_of_the_command() -> None:
    run = getattr(get_command(command), "commands", {})["run"]
    known = {flag for parameter in run.params for flag in parameter.opts}
    text = (_ROOT / "docs" / "reference" / "settings.md").read_text()
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= known


def test_the_app_of_the_readme_is_the_one_that_the_tutorial_builds() -> None:
    assert next(_blocks(_ROOT / "README.md", "python")) == next(_blocks(_TUTORIAL, "python"))


async def test_the_app_to_try_channels_with_runs() -> None:
    page = _ROOT / "docs" / "topics" / "channels.md"
    (code,) = [block for block in _blocks(page, "python") if "set_user_id" in block]
    found: dict[str, Any] = {}
    exec(code, found)
    async with TestNode(found["app"]) as node:
        ann, bob = await node.connect(), await node.connect()
        with pytest.raises(MethodError, match="403"):
            await bob.subscribe("said", "7")
        for client, name in ((ann, "ann"), (bob, "bob")):
            await client.call("login", name)
        await bob.subscribe("said", "7")
        await ann.call("say", "7", "look at bed 3")
        await bob.wait_for(lambda: bool(bob.documents("said")))
        (message,) = bob.documents("said")
        assert message["message"] == "ann: look at bed 3"


def test_the_tutorials_tests_pass_on_the_tutorials_app(tmp_path: Path) -> None:
    for name, _, text in _FILE.findall(_TUTORIAL.read_text()):
        (tmp_path / name).write_text(text)  # the last version of tasks.py stays
    command_line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command_line, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout
