"""What is to run: certificates, the balancer's settings and a Procfile, in one folder."""

import re
import shlex
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.certificates import Authority

from bolide.balancer.settings.reading import read_settings as read_balancer_settings
from bolide.core.errors import ConfigurationError
from bolide.ops.node.listener import bind
from bolide.ops.up.plan import Plan, make_plan
from bolide.ops.up.procfile import Line
from bolide.server.settings import Settings, read_settings

NOW = datetime.now(UTC)
LINES = (Line("node", "exec bolide run ward.app:app"), Line("clock", "date"))


def plan_of(folder: Path, settings: Settings | None = None, *, nodes: int = 2) -> Plan:
    return make_plan(folder / "state", LINES, settings or Settings(port=0), NOW, nodes=nodes)


def variables(line: Line) -> dict[str, str]:
    """Return what a line exports."""
    exported, _, _ = line.command.removeprefix("export ").partition(";")
    return dict(word.split("=", 1) for word in shlex.split(exported))


def test_the_balancer_can_use_its_settings(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, nodes=3)
    settings = read_balancer_settings(tmp_path / "state" / "balancer.toml")
    [listen] = settings.listen
    assert plan.url == f"https://localhost:{listen.port}"
    assert settings.https_port == listen.port
    assert plan.redirect == f"http://localhost:{settings.redirect[0].port}"
    assert [member.name for member in settings.nodes.static] == ["node1", "node2", "node3"]
    assert settings.nodes.verify == "role"
    assert len(settings.cookie_keys) == 1
    assert settings.hsts_s == 86_400


def test_each_node_is_where_the_balancer_looks_for_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    members = read_balancer_settings(tmp_path / "state" / "balancer.toml").nodes.static
    for member, line in zip(members, plan.lines[1:3], strict=True):
        assert line.name == member.name
        assert line.command.endswith("; exec bolide run ward.app:app")
        given = variables(line)
        assert str(member.address) == f"{given['BOLIDE_HOST']}:{given['BOLIDE_PORT']}"
        assert given["PORT"] == given["BOLIDE_PORT"]
        node = {name: value for name, value in given.items() if name.startswith("BOLIDE_")}
        settings = read_settings(environment=node)
        assert settings.management_port == (member.management and member.management.port)
        assert settings.public_url == plan.url
        assert settings.cluster is not None
        assert settings.tls_client_ca is not None
        assert plan.url in settings.allowed_origins
    assert len({member.address.port for member in members}) == 2


def test_the_other_lines_of_the_app_run_once(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert [line.name for line in plan.lines] == ["balancer", "node1", "node2", "clock"]
    assert variables(plan.lines[-1])["BOLIDE_PUBLIC_URL"] == plan.url


def test_files_are_for_this_user_only(tmp_path: Path) -> None:
    plan_of(tmp_path)
    folder = tmp_path / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("Procfile", "balancer.toml", "affinity.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_the_procfile_is_what_runs(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    text = (tmp_path / "state" / "Procfile").read_text()
    lines = re.findall(r"^(\w+): (.*)$", text, re.MULTILINE)
    assert [Line(*line) for line in lines] == list(plan.lines)


def test_a_store_of_the_environment_is_not_on_a_command_line(tmp_path: Path) -> None:
    url = "mongodb://nurse:secret@db.example.org/?tls=true"
    settings = read_settings({"port": 0}, {"BOLIDE_STORE": url})
    plan_of(tmp_path, settings)
    assert "secret" not in (tmp_path / "state" / "Procfile").read_text()


def test_a_store_of_a_flag_is_handed_on(tmp_path: Path) -> None:
    settings = read_settings({"port": 0, "store": "sqlite:////var/lib/a b.db"})
    plan = plan_of(tmp_path, settings)
    assert variables(plan.lines[1])["BOLIDE_STORE"] == "sqlite:////var/lib/a b.db"


def test_the_cookie_key_stays_and_the_cluster_does_not(tmp_path: Path) -> None:
    plan_of(tmp_path)
    folder = tmp_path / "state"
    key = (folder / "affinity.key").read_text()
    authority = (folder / "cluster" / "ca.pem").read_text()
    plan_of(tmp_path)
    assert (folder / "affinity.key").read_text() == key
    assert (folder / "cluster" / "ca.pem").read_text() != authority


def test_a_certificate_of_the_settings_is_shown_to_browsers(tmp_path: Path) -> None:
    own = Authority(tmp_path).issue("ward.example.org")
    settings = Settings(
        port=0,
        host="0.0.0.0",
        public_url="https://ward.example.org",
        tls_cert=own.cert,
        tls_key=own.key,
    )
    plan = plan_of(tmp_path, settings)
    assert plan.made is None
    assert plan.url == "https://ward.example.org"
    balancer = read_balancer_settings(tmp_path / "state" / "balancer.toml")
    assert [shown.chain for shown in balancer.certificate] == [own.cert]
    assert balancer.https_port == 443
    assert balancer.hsts_s == 31_536_000
    assert variables(plan.lines[1])["BOLIDE_ALLOWED_ORIGINS"] == ""


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(port=0, host="0.0.0.0"), "public_url is not set"),
        (Settings(port=0, public_url="http://ward.example.org"), "an https:// address"),
        (Settings(port=0, store="memory:"), "one that several nodes share"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    tmp_path: Path, settings: Settings, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        plan_of(tmp_path, settings)


def test_a_port_that_is_taken_is_refused_or_the_next_one_is_taken(tmp_path: Path) -> None:
    with closing(bind("127.0.0.1", 0)) as taken:
        settings = Settings(port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="another process listens there"):
            plan_of(tmp_path, settings)
        plan = make_plan(tmp_path, LINES, settings, NOW, nodes=1, takes_next_port=True)
    assert int(plan.url.rpartition(":")[2]) > settings.port


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"--state is .*a folder that can be written to"):
        plan_of(tmp_path)
