"""Node service: an app is served while the block lasts, and never in plain text to others."""

from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.certificates import Authority
from tests.cluster_certificates import CertificateAuthority

from bolide.client import connect
from bolide.core.errors import ConfigurationError
from bolide.ops.node.listener import bind, url_of
from bolide.ops.node.node_service import NodeNotStarted, check_exposure, node_running
from bolide.server import App, Context, Settings

MEMORY = Settings(store="memory:")


@pytest.fixture
def app() -> App:
    app = App()

    async def hello(ctx: Context) -> str:
        return "hello"

    app.method("hello", public=True)(hello)
    return app


async def test_node_answers_calls_while_the_block_lasts(app: App) -> None:
    listener = bind("127.0.0.1", 0)
    async with node_running(app, MEMORY, listener) as node, connect(url_of(listener)) as client:
        assert await client.call("hello") == "hello"
        assert node.session_count == 1
    assert not node.is_ready


async def test_management_tells_health_on_a_listener_of_its_own(app: App) -> None:
    listener, management = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    async with (
        node_running(app, MEMORY, listener, management),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        health = await client.get(f"{url_of(management)}readyz")
        assert (health.json()["ready"], health.json()["sessions"]) == (True, 0)
        assert (await client.get(f"{url_of(listener)}readyz")).status_code == 404


async def test_store_that_cannot_be_used_is_the_operators_matter(app: App) -> None:
    listener = bind("127.0.0.1", 0)
    with pytest.raises(ConfigurationError):
        async with node_running(app, Settings(store="nothing:"), listener):
            pytest.fail("the block began")
    assert listener.fileno() == -1


async def test_start_up_hook_that_fails_is_named_without_its_text(app: App) -> None:
    async def fail() -> None:
        raise LookupError("a patient's name")

    app.on_startup(fail)
    with pytest.raises(NodeNotStarted) as caught:
        async with node_running(app, MEMORY, bind("127.0.0.1", 0)):
            pytest.fail("the block began")
    assert str(caught.value).startswith("The node did not start: LookupError in ")
    assert "test_node_service.py, line " in str(caught.value)
    assert "patient" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"host": "0.0.0.0"}, r"^host is '0\.0\.0\.0', but must be 127\.0\.0\.1 or ::1 with"),
        ({"management_port": 0, "management_host": "::"}, "^management_host is '::', but must"),
    ],
)
def test_listener_open_to_others_in_plain_text_is_refused(
    changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        check_exposure(Settings(**changes))


def test_with_tls_a_node_may_listen_everywhere_under_its_name() -> None:
    files: dict[str, Any] = {"tls_cert": "c.pem", "tls_key": "k.pem"}
    check_exposure(Settings(host="0.0.0.0", public_url="https://ward.example.org", **files))
    with pytest.raises(ConfigurationError, match=r"^public_url is not set, but must be what"):
        check_exposure(Settings(host="0.0.0.0", **files))


async def test_node_with_tls_serves_nothing_without_it(app: App, tmp_path: Path) -> None:
    listener, authority = bind("127.0.0.1", 0), Authority(tmp_path)
    files = authority.issue()
    settings = Settings(store="memory:", tls_cert=files.cert, tls_key=files.key)
    async with node_running(app, settings, listener):
        url, trusting = url_of(listener, secure=True), authority.client_context()
        async with connect(url, ssl=trusting) as client:
            assert await client.call("hello") == "hello"
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(url_of(listener))).status_code == 400


def test_a_node_of_a_cluster_is_managed_from_everywhere_and_named_as_its_balancer() -> None:
    files: dict[str, Any] = {
        "tls_cert": "c.pem", "tls_key": "k.pem", "tls_client_ca": "ca.pem", "cluster": "ward",
        "management_host": "0.0.0.0", "management_port": 0,
    }  # fmt: skip
    check_exposure(Settings(public_url="https://ward.example.org", **files))
    check_exposure(Settings(allowed_origins=["https://ward.example.org"], **files))
    with pytest.raises(ConfigurationError, match=r"^public_url .*a balancer passes that name on"):
        check_exposure(Settings(**files))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_may_be_plain(host: str) -> None:
    check_exposure(Settings(host=host, management_port=0))


async def test_node_that_cannot_sign_is_not_announced(app: App, tmp_path: Path) -> None:
    cluster = CertificateAuthority(tmp_path)
    own = cluster.issue("https://n1.example.org")
    settings = Settings(
        store="memory:",
        public_url="https://ward.example.org",
        cluster="ward",
        tls_cert=own.chain,
        tls_key=own.key,
        tls_client_ca=cluster.pem,
        announce="10.0.0.11",
    )
    with (
        closing(bind("127.0.0.1", 0)) as listener,
        pytest.raises(ConfigurationError, match="--role node"),
    ):
        async with node_running(app, settings, listener):
            pytest.fail("the block began")
