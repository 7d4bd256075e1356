"""A process takes its configuration when it begins, so these tests begin some."""

import json
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.cluster_certificates import CertificateAuthority

from bolide.balancer.tls.openssl_configuration import (
    FILE,
    VARIABLE,
    check_client,
    check_server,
    openssl_environment,
)
from bolide.core.errors import ConfigurationError

CONFIGURATION = FILE.read_text()
_PROGRAM = """
import json, ssl, sys
from bolide.balancer.tls.node_context import NodeContext
from bolide.balancer.tls.openssl_configuration import check_client, check_server
from bolide.balancer.tls.server_context import ServerContext
from bolide.balancer.worker.messages import NodeTLS, ServerCertificate
from bolide.core.errors import ConfigurationError

ca, chain, key = sys.argv[1:]
server = ServerContext([ServerCertificate(chain, key)]).context
client = NodeContext(NodeTLS(ca=ca, chain=chain, key=key), "ward").context
told = []
for check, context in ((check_server, server), (check_client, client)):
    try:
        check(context)
        told.append("")
    except ConfigurationError as error:
        told.append(str(error))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("certificates"))


def _told(authority: CertificateAuthority, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return what the checks of the server's and the client's side say in a process."""
    certificate = authority.issue("bolide://ward/balancer/b1")
    files = [authority.pem, certificate.chain, certificate.key]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *files],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=True,
    )
    server, client = json.loads(done.stdout)
    return server, client


@pytest.fixture
def plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def test_with_our_configuration_nothing_else_is_negotiated(
    authority: CertificateAuthority, plain: dict[str, str], tmp_path: Path
) -> None:
    assert _told(authority, openssl_environment(tmp_path, plain)) == ("", "")


def test_the_file_is_closed_to_others(plain: dict[str, str], tmp_path: Path) -> None:
    environment = openssl_environment(tmp_path, plain)
    file = Path(environment.pop(VARIABLE))
    assert environment == plain
    assert file.read_text() == CONFIGURATION
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_operators_own_configuration_stays_and_is_judged(
    authority: CertificateAuthority, plain: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / "own.cnf"
    own.write_text(CONFIGURATION.replace(":P-384", ":X25519"))
    environment = openssl_environment(tmp_path, {**plain, VARIABLE: str(own)})
    assert environment[VARIABLE] == str(own)
    for told in _told(authority, environment):
        assert told.startswith(f"{VARIABLE} is '{own}', but must be ")
        assert told.endswith(". Unset it, and Bolide brings its own.")


@pytest.mark.parametrize(
    ("line", "other", "server", "client"),
    [
        ("Groups = P-256:P-384", "Groups = P-256:P-384:X25519", "X25519 with TLS 1.3 taken",
         "X25519 offered"),
        ("Groups = P-256:P-384", "Groups = P-256", "P-384 refused", ""),
        (":TLS_AES_128_GCM_SHA256", ":TLS_CHACHA20_POLY1305_SHA256",
         "TLS_CHACHA20_POLY1305_SHA256 taken", "TLS_CHACHA20_POLY1305_SHA256 offered"),
        (":TLS_AES_128_GCM_SHA256", ":TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_SHA256 taken",
         "TLS_AES_128_CCM_SHA256 offered"),
        ("Ciphersuites = TLS_AES_256_GCM_SHA384:", "Ciphersuites = ", "refused", ""),
    ],
)  # fmt: skip
def test_what_is_negotiated_otherwise_is_told_in_a_line(
    authority: CertificateAuthority,
    plain: dict[str, str],
    tmp_path: Path,
    line: str,
    other: str,
    server: str,
    client: str,
) -> None:
    own = tmp_path / "own.cnf"
    assert line in CONFIGURATION
    own.write_text(CONFIGURATION.replace(line, other))
    told = _told(authority, {**plain, VARIABLE: str(own)})
    assert server in told[0]
    assert client in told[1]
    assert not any("\n" in text for text in told)


def test_other_suites_of_tls_1_2_and_older_versions_are_found(
    authority: CertificateAuthority,
) -> None:
    certificate = authority.issue(None)
    context = authority.server(certificate)
    context.set_ciphers("ECDHE+AES:@SECLEVEL=0")
    with pytest.raises(ConfigurationError):
        check_server(context)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.set_ciphers("ALL")
    with pytest.raises(ConfigurationError, match="offered"):
        check_client(client)
