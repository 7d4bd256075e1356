"""``bolide doctor --store`` and a real MongoDB."""

import gc
import socket
from collections.abc import Callable

import pytest
from tests.driver_sockets import MAY_BE_LEFT
from typer.testing import CliRunner

from bolide.ops.cli import app

# The driver forgets the sockets of connections that come to nothing, here and in tests before.
pytestmark = [
    MAY_BE_LEFT,
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
]

ROWS = ("MongoDB", "database", "replica set", "members")


def doctor(url: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "--store"], env={"BOLIDE_STORE": url})
    return result.exit_code, result.output


def test_it_tells_what_is_there(new_database: Callable[[], str]) -> None:
    url = new_database()
    code, text = doctor(url)
    assert code == 0, text
    told = text.partition("\nStore\n")[2]
    assert all(f"  {row} " in told for row in ROWS)
    assert "keeps nothing" not in text
    password = url.partition("@")[0].rpartition(":")[2]
    assert password not in text


def test_it_tells_why_a_node_could_not_use_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, text = doctor(f"mongodb://127.0.0.1:{port}/ward")
    assert code == 2
    assert "must be a MongoDB that answers" in text
    gc.collect()
