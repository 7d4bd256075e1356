import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.cluster_certificates import Certificate, CertificateAuthority
from tests.handshakes import connected, shake_hands

from bolide.core.errors import ConfigurationError
from bolide.ops.top.operator_context import is_node, operator_context


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


def _is_node(authority: CertificateAuthority, answering: Certificate) -> bool:
    own = authority.issue("bolide://ward/ops/ada")
    context = operator_context(authority.pem, own.chain, own.key)
    with ExitStack() as stack:
        raw, theirs = stack.enter_context(connected())
        client = context.wrap_socket(raw, do_handshake_on_connect=False)
        stack.callback(client.close)
        server = authority.server(answering).wrap_socket(
            theirs, server_side=True, do_handshake_on_connect=False
        )
        stack.callback(server.close)
        shake_hands(client, server)
        return is_node(client)


def test_a_node_is_known_by_its_role(authority: CertificateAuthority) -> None:
    assert _is_node(authority, authority.issue("bolide://ward/node/n1"))
    assert not _is_node(authority, authority.issue("bolide://ward/balancer/b1"))
    assert not _is_node(authority, authority.issue(None))


def test_somebody_of_another_authority_is_no_node(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    stranger = CertificateAuthority(tmp_path, "stranger")
    with pytest.raises(ssl.SSLCertVerificationError):
        _is_node(authority, stranger.issue("bolide://ward/node/n1"))


def test_what_is_missing_or_unusable_is_named(authority: CertificateAuthority) -> None:
    own = authority.issue("bolide://ward/ops/ada")
    for files, told in (
        ((None, own.chain, own.key), "^--ca is not set"),
        ((authority.pem, None, own.key), "^--cert is not set"),
        ((authority.pem, own.chain, None), "^--key is not set"),
        (("nothing.pem", own.chain, own.key), "^--ca .*No such file"),
        ((authority.pem, "nothing.pem", own.key), "^--cert .*No such file"),
        ((own.key, own.chain, own.key), "^--ca "),
        ((authority.pem, own.chain, authority.issue(None).key), "^--cert .*--key its key"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            operator_context(*files)
