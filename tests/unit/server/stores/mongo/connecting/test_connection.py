"""What is said of a database that cannot be used, where no database has to be there for it."""

import pytest
from pymongo.errors import AutoReconnect, OperationFailure
from pymongo.server_description import ServerDescription

from bolide.core.errors import ConfigurationError
from bolide.server.stores.mongo.connecting.connection import database_name, startup_refusals
from bolide.server.stores.mongo.connecting.diagnosis import unreachable


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("mongodb://ada:secret@h1:1,h2:2/ward?replicaSet=rs0", "ward"),
        ("mongodb+srv://cluster.example.org/my%20ward", "my ward"),
        ("mongodb://localhost", "bolide"),
        ("mongodb://localhost/?replicaSet=rs0", "bolide"),
        ("mongodb://[::1/ward", "bolide"),
        ("sqlite:///ward.db", "bolide"),
    ],
)
def test_the_name_of_the_database_is_read_without_asking_anybody(url: str, name: str) -> None:
    assert database_name(url) == name


@pytest.mark.parametrize("error", [AutoReconnect("secret"), TimeoutError()])
def test_a_connection_that_ends_is_no_answer(error: Exception) -> None:
    with pytest.raises(ConfigurationError, match="a MongoDB that answers"), startup_refusals():
        raise error


def test_what_nobody_expected_is_not_explained() -> None:
    error = OperationFailure("secret", 8)
    with pytest.raises(OperationFailure) as caught, startup_refusals():
        raise error
    assert caught.value is error


async def test_an_alert_of_tls_is_about_the_certificate_of_the_client() -> None:
    error = AutoReconnect("SSL handshake failed: sslv3 alert handshake failure")
    server = ServerDescription(("localhost", 1), error=error)
    wanted = await unreachable([server], named=["localhost"], has_tls=True)
    assert wanted.startswith("one with tlsCertificateKeyFile=")
