"""Origin: pages of ours may connect, pages of strangers may not."""

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server.web.origin import OriginPolicy

LOOPBACK = ("127.0.0.1", 3000)
DEVELOPMENT = OriginPolicy.from_settings(None)
PRODUCTION = OriginPolicy.from_settings(
    "https://Ward.example.org/board", ["https://admin.example.org:8443"]
)


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1:3000", "[::1]:3000"])
@pytest.mark.parametrize("origin", [None, "http://localhost:3000", "https://127.0.0.1:3000"])
def test_loopback_serves_itself(host: str, origin: str | None) -> None:
    assert DEVELOPMENT.refusal(host=host, origin=origin, server=LOOPBACK) is None


@pytest.mark.parametrize("host", [None, "localhost", "localhost:3001", "evil.example:3000"])
def test_other_host_is_refused(host: str | None) -> None:
    refusal = DEVELOPMENT.refusal(host=host, origin=None, server=LOOPBACK)
    assert refusal is not None
    assert "Host" in refusal


@pytest.mark.parametrize(
    "origin", ["null", "http://localhost", "http://evil.example:3000", "file://localhost:3000", ""]
)
def test_other_origin_is_refused(origin: str) -> None:
    refusal = DEVELOPMENT.refusal(host="localhost:3000", origin=origin, server=LOOPBACK)
    assert refusal is not None
    assert "Origin" in refusal


@pytest.mark.parametrize("server", [None, ("10.0.0.1", 3000)])
def test_public_listener_without_public_url_serves_nobody(server: tuple[str, int] | None) -> None:
    refusal = DEVELOPMENT.refusal(host="10.0.0.1:3000", origin=None, server=server)
    assert refusal is not None
    assert "BOLIDE_PUBLIC_URL" in refusal


@pytest.mark.parametrize("host", ["ward.example.org", "WARD.example.org:443"])
@pytest.mark.parametrize(
    "origin",
    [
        None,
        "https://ward.example.org",
        "https://ward.example.org:443",
        "https://admin.example.org:8443",
        "wss://ward.example.org",  # python-meteor
    ],
)
def test_public_url_and_allowed_origins_are_served(host: str, origin: str | None) -> None:
    assert PRODUCTION.refusal(host=host, origin=origin, server=("10.0.0.1", 80)) is None


@pytest.mark.parametrize("origin", ["http://ward.example.org", "https://ward.example.org:444"])
def test_scheme_and_port_of_an_origin_count(origin: str) -> None:
    assert PRODUCTION.refusal(host="ward.example.org", origin=origin, server=None) is not None


@pytest.mark.parametrize(
    "url", ["ward.example.org", "ftp://ward", "https://", "https://a:b", "https://u@ward"]
)
def test_setting_that_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="public_url"):
        OriginPolicy.from_settings(url)


def test_ipv6_origin_keeps_its_brackets() -> None:
    policy = OriginPolicy.from_settings("http://[2001:db8::1]:8080")
    assert policy.refusal(host="[2001:db8::1]:8080", origin=None, server=None) is None
    assert policy.refusal(host="[::1]", origin="http://[2001:db8::1]", server=None) is not None
