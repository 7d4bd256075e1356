"""Certificates made on the spot: believed for their names, and nobody can sign another one."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bolide.ops.up.made_certificates import (
    DAYS,
    LOOPBACK,
    BrowserFiles,
    Files,
    browser_files,
    make_cluster_files,
)

NOW = datetime.now(UTC).replace(microsecond=0)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Let the two talk in memory; raises what OpenSSL has to say."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def server_of(files: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.chain, files.key)
    return context


def client_of(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


def made(folder: Path, *names: str, now: datetime = NOW) -> BrowserFiles:
    return browser_files(folder, names or LOOPBACK, now)


@pytest.mark.parametrize("name", LOOPBACK)
def test_a_client_that_believes_the_authority_believes_this_machine(
    tmp_path: Path, name: str
) -> None:
    files = made(tmp_path / "browsers")
    shake_hands(server_of(files.own), client_of(files.authority), name)


def test_the_authority_is_believed_for_its_names_only(tmp_path: Path) -> None:
    files = made(tmp_path / "browsers", "ward.example.org", *LOOPBACK)
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    permitted = constraints.value.permitted_subtrees or []
    assert [str(name.value) for name in permitted] == [
        "ward.example.org",
        "localhost",
        "127.0.0.1/32",
        "::1/128",
    ]
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(server_of(files.own), client_of(files.authority), "bank.example.org")


def test_keys_are_closed_and_that_of_the_authority_is_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    authority, files = make_cluster_files(
        folder, "up", [("balancer", "balancer"), ("node", "node1")], NOW
    )
    files["browsers"] = made(tmp_path / "browsers").own
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = list(tmp_path.rglob("*.key"))
    assert sorted(keys) == sorted(one.key for one in files.values())
    for one in files.values():
        assert stat.S_IMODE(one.key.stat().st_mode) == 0o600
        key = load_pem_private_key(one.key.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(one.chain.read_bytes())
        assert certificate.public_key() == key.public_key()
        assert certificate.not_valid_after_utc == NOW + timedelta(days=DAYS)
    signer = x509.load_pem_x509_certificate(authority.read_bytes()).public_key()
    assert all(load_pem_private_key(key.read_bytes(), None).public_key() != signer for key in keys)


def test_each_start_makes_another_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    first, _ = make_cluster_files(folder, "up", [("node", "node1"), ("node", "node2")], NOW)
    before = first.read_bytes()
    second, _ = make_cluster_files(folder, "up", [("node", "node1")], NOW)
    assert second.read_bytes() != before
    assert {file.name for file in folder.iterdir()} == {"ca.pem", "node1.pem", "node1.key"}


def test_what_browsers_were_told_to_trust_stays_for_half_of_its_life(tmp_path: Path) -> None:
    first = made(tmp_path)
    authority = first.authority.read_bytes()
    later = made(tmp_path, now=NOW + timedelta(days=DAYS / 2 - 1))
    assert later.ends == first.ends
    assert later.authority.read_bytes() == authority
    renewed = made(tmp_path, now=NOW + timedelta(days=DAYS / 2 + 1))
    assert renewed.ends > first.ends
    assert renewed.authority.read_bytes() != authority


def test_other_names_and_damaged_files_make_a_new_one(tmp_path: Path) -> None:
    authority = made(tmp_path).authority.read_bytes()
    other = made(tmp_path, "ward.example.org").authority.read_bytes()
    assert other != authority
    (tmp_path / "browsers.pem").write_text("nothing")
    assert made(tmp_path, "ward.example.org").authority.read_bytes() != other
    (tmp_path / "browsers.key").unlink()
    files = made(tmp_path, "ward.example.org")
    shake_hands(server_of(files.own), client_of(files.authority), "ward.example.org")
