import pytest

from bolide.server.loopback import is_loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("ward", False),
    ],
)
def test_loopback_is_told_from_the_network(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
