import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.unit.ops.certificates.conftest import NOW, PASSPHRASE, MakeRequest

from bolide.core.errors import ConfigurationError
from bolide.ops.certificates.authority import AUTHORITY_DAYS, DAYS, MAX_DAYS, Authority
from bolide.ops.certificates.denied_list import deny
from bolide.ops.certificates.request import read_request

_N1 = "bolide://ward/node/n1"
_B1 = "bolide://ward/balancer/b1"


def _read(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _fingerprint(pem: bytes) -> str:
    return _read(pem).fingerprint(SHA256()).hex()


def test_an_authority_is_read_as_it_was_made(authority: Authority) -> None:
    assert Authority.open(authority.folder) == authority
    assert authority.cluster == "ward"
    [certificate] = authority.believed
    assert certificate.not_valid_after_utc == NOW + timedelta(days=AUTHORITY_DAYS)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_its_folder_and_key_are_closed_to_others(authority: Authority) -> None:
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700
    [key] = authority.folder.glob("*.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in key.read_bytes()
    assert b"PRIVATE" not in authority.bundle.read_bytes()


def test_an_authority_that_there_is_already_stays(authority: Authority) -> None:
    before = {path.name: path.read_bytes() for path in authority.folder.iterdir()}
    with pytest.raises(ConfigurationError, match="a folder without an authority"):
        Authority.create(authority.folder, "ward", PASSPHRASE, NOW)
    assert {path.name: path.read_bytes() for path in authority.folder.iterdir()} == before


@pytest.mark.parametrize("cluster", ["", "Ward", "ward 7", "ward/7", "x" * 64])
def test_a_cluster_that_no_certificate_can_name_is_refused(tmp_path: Path, cluster: str) -> None:
    with pytest.raises(ConfigurationError, match="--cluster"):
        Authority.create(tmp_path / "ca", cluster, PASSPHRASE, NOW)
    assert not (tmp_path / "ca").exists()


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="bolide ca create"):
        Authority.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="FOLDER"):
        Authority.create(tmp_path / "file" / "ca", "ward", PASSPHRASE, NOW)


@pytest.mark.parametrize(
    ("uri", "purpose"),
    [
        (_N1, ExtendedKeyUsageOID.SERVER_AUTH),
        (_B1, ExtendedKeyUsageOID.CLIENT_AUTH),
        ("bolide://ward/ops/ada", ExtendedKeyUsageOID.CLIENT_AUTH),
    ],
)
def test_a_certificate_is_for_its_role_and_nothing_else(
    authority: Authority, make: MakeRequest, uri: str, purpose: x509.ObjectIdentifier
) -> None:
    certificate = _read(authority.sign(make(uri), PASSPHRASE, NOW))
    certificate.verify_directly_issued_by(authority.believed[0])
    extensions = certificate.extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri]


def test_a_node_is_reached_at_its_addresses(authority: Authority, make: MakeRequest) -> None:
    request = make(_N1, "n1.example.org", "10.0.0.1")
    certificate = _read(authority.sign(request, PASSPHRASE, NOW))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1.example.org"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]


def test_a_certificate_lasts_shortly_and_holds_for_clocks_that_are_late(
    authority: Authority, make: MakeRequest
) -> None:
    certificate = _read(authority.sign(make(_N1), PASSPHRASE, NOW))
    assert certificate.not_valid_after_utc == NOW + timedelta(days=DAYS)
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)


def test_openssl_believes_what_was_signed(make: MakeRequest, tmp_path: Path) -> None:
    csr = make.file(_N1, "127.0.0.1")
    now = NOW.now(NOW.tzinfo)
    signer = Authority.create(tmp_path / "today", "ward", PASSPHRASE, now)
    csr.with_suffix(".pem").write_bytes(signer.sign(read_request(csr, "ward"), PASSPHRASE, now))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(csr.with_suffix(".pem"), csr.with_suffix(".key"))
    client = ssl.create_default_context(cafile=str(signer.bundle))
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    names = (ours.getpeercert() or {})["subjectAltName"]
    assert isinstance(names, tuple)
    assert ("URI", _N1) in names


@pytest.mark.parametrize("days", [0, MAX_DAYS + 1, -1])
def test_a_certificate_that_lasts_too_long_is_not_signed(
    authority: Authority, make: MakeRequest, days: int
) -> None:
    with pytest.raises(ConfigurationError, match="--days"):
        authority.sign(make(_N1), PASSPHRASE, NOW, days=days)


def test_a_certificate_does_not_outlive_its_authority(
    authority: Authority, make: MakeRequest
) -> None:
    late = NOW + timedelta(days=AUTHORITY_DAYS - 10)
    authority.sign(make(_N1), PASSPHRASE, late, days=10)
    with pytest.raises(ConfigurationError, match=r"ends before its authority.*bolide ca rotate"):
        authority.sign(make(_N1), PASSPHRASE, late, days=11)


def test_with_another_passphrase_nothing_is_signed(authority: Authority, make: MakeRequest) -> None:
    with pytest.raises(ConfigurationError, match="The passphrase is"):
        authority.sign(make(_N1), b"another one", NOW)
    assert authority.register.read() == []


def test_a_key_that_is_gone_or_another_ones_is_named(
    authority: Authority, make: MakeRequest, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "other", "ward", PASSPHRASE, NOW)
    [key], [others] = authority.folder.glob("*.key"), other.folder.glob("*.key")
    others.replace(key)
    with pytest.raises(ConfigurationError, match=r"the key of the first in ca\.pem"):
        authority.sign(make(_N1), PASSPHRASE, NOW)
    key.unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        authority.sign(make(_N1), PASSPHRASE, NOW)


def test_what_was_signed_is_in_use_until_it_ends_is_denied_or_renewed(
    authority: Authority, make: MakeRequest
) -> None:
    first = authority.sign(make(_N1), PASSPHRASE, NOW)
    second = authority.sign(make(_B1), PASSPHRASE, NOW, days=10)
    in_use = {entry.fingerprint: entry for entry in authority.in_use(NOW)}
    assert in_use.keys() == {_fingerprint(first), _fingerprint(second)}
    later = NOW + timedelta(days=10)
    assert [entry.identity for entry in authority.in_use(later)] == [_N1]
    renewed = authority.sign(make(_N1), PASSPHRASE, later)
    assert [entry.fingerprint for entry in authority.in_use(later)] == [_fingerprint(renewed)]
    deny(authority.denied, _fingerprint(renewed), "n1")
    assert [entry.fingerprint for entry in authority.in_use(later)] == [_fingerprint(first)]


def test_a_rotation_lets_both_be_believed_until_it_is_finished(
    authority: Authority, make: MakeRequest
) -> None:
    former = _read(authority.sign(make(_N1), PASSPHRASE, NOW))
    new = authority.rotate(b"a new passphrase for it", NOW)
    assert Authority.open(authority.folder) == new
    assert new.believed[1:] == authority.believed
    assert len(list(authority.folder.glob("*.key"))) == 1
    with pytest.raises(ConfigurationError, match="The passphrase"):
        new.sign(make(_N1), PASSPHRASE, NOW)
    with pytest.raises(ConfigurationError, match=f"in use: {_N1}"):
        new.finish(NOW)
    renewed = _read(new.sign(make(_N1), b"a new passphrase for it", NOW))
    former.verify_directly_issued_by(new.believed[1])
    renewed.verify_directly_issued_by(new.believed[0])
    done = new.finish(NOW)
    assert done.believed == new.believed[:1]
    assert Authority.open(authority.folder) == done


def test_a_rotation_can_be_forced_to_its_end(authority: Authority, make: MakeRequest) -> None:
    authority.sign(make(_N1), PASSPHRASE, NOW)
    new = authority.rotate(PASSPHRASE, NOW)
    assert len(new.finish(NOW, is_forced=True).believed) == 1


def test_one_rotation_is_finished_before_the_next(authority: Authority) -> None:
    with pytest.raises(ConfigurationError, match="leave --finish out"):
        authority.finish(NOW)
    new = authority.rotate(PASSPHRASE, NOW)
    with pytest.raises(ConfigurationError, match="--finish"):
        new.rotate(PASSPHRASE, NOW)
