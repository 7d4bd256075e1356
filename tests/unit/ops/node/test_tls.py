"""TLS of a node: one clear sentence before it listens, or a handshake that clients can use."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.certificates import Authority, Files
from tests.cluster_certificates import CertificateAuthority

from bolide.core.errors import ConfigurationError
from bolide.ops.node import tls
from bolide.ops.node.tls import NodeTLS, tls_of
from bolide.server.settings import Settings

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def made(files: Files, *, now: float | None = None) -> NodeTLS:
    found = tls_of(Settings(tls_cert=files.cert, tls_key=files.key), now=now)
    assert found is not None
    return found


def refusal(files: Files) -> str:
    with pytest.raises(ConfigurationError) as caught:
        made(files)
    text = str(caught.value)
    assert "\n" not in text
    return text


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours


def test_without_files_there_is_no_tls() -> None:
    assert tls_of(Settings()) is None


def test_modern_client_gets_tls_1_3_with_aes_gcm(authority: Authority) -> None:
    server = made(authority.issue())
    assert server.warning is None
    session = shake_hands(authority.client_context(), server.context)
    assert session.version() == "TLSv1.3"
    assert (session.cipher() or ("",))[0] == "TLS_AES_256_GCM_SHA384"


def test_older_client_gets_tls_1_2_with_ecdhe_and_aes_gcm(authority: Authority) -> None:
    server = made(authority.issue()).context
    client = authority.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_alpn_protocols(["h2", "http/1.1"])
    session = shake_hands(client, server)
    assert (session.cipher() or ("",))[0].startswith("ECDHE-ECDSA-AES")
    assert "GCM" in (session.cipher() or ("",))[0]
    assert session.selected_alpn_protocol() == "http/1.1"
    client.set_ciphers("ECDHE+AES:!AESGCM:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake_hands(client, server)


def test_tls_1_1_is_refused(authority: Authority) -> None:
    assert made(authority.issue()).context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_file_that_is_missing_or_none_is_named(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue()
    nothing, folder = str(tmp_path / "nothing.pem"), str(tmp_path)
    assert refusal(Files(nothing, files.key)) == (
        f"tls_cert is {nothing!r}, but must be a PEM file that exists."
    )
    assert refusal(Files(files.cert, nothing)).startswith("tls_key is ")
    assert refusal(Files(folder, files.key)).endswith("a PEM file (Is a directory).")


def test_file_of_another_user_is_named(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = authority.issue()
    opened = Path.open

    def refuse(path: Path, mode: str) -> object:
        if str(path) == files.key:
            raise PermissionError
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    assert refusal(files).endswith("must be a PEM file that this user may read.")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_key_that_others_may_use_is_refused(authority: Authority, mode: int) -> None:
    files = authority.issue()
    Path(files.key).chmod(mode)
    assert "must be closed to other users of this machine: chmod o-rwx it" in refusal(files)


def test_key_that_a_group_may_read_is_its_owners_matter(authority: Authority) -> None:
    files = authority.issue()
    Path(files.key).chmod(0o640)
    assert made(files).warning is None


def test_file_that_is_no_pem_is_refused(authority: Authority) -> None:
    files, other = authority.issue(), authority.issue()
    Path(other.cert).write_text("a patient's name\n")
    text = refusal(Files(other.cert, files.key))
    assert text.startswith("tls_cert is ")
    assert text.endswith("but must be a certificate as PEM text.")
    Path(other.key).write_text("a patient's name\n")
    text = refusal(Files(files.cert, other.key))
    assert text.startswith("tls_key is ")
    assert text.endswith("but must be a private key as PEM text.")


def test_key_of_another_certificate_is_refused(authority: Authority) -> None:
    one, other = authority.issue(), authority.issue()
    assert refusal(Files(one.cert, other.key)) == (
        f"tls_key is {other.key!r}, but must be the key of the certificate in tls_cert."
    )
    rsa_key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    Path(other.key).write_bytes(_pem(rsa_key, serialization.NoEncryption()))
    assert "the key of the certificate in tls_cert" in refusal(Files(one.cert, other.key))


def _pem(key: rsa.RSAPrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def test_key_with_a_passphrase_is_refused(authority: Authority) -> None:
    files = authority.issue()
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    Path(files.key).write_bytes(_pem(key, serialization.BestAvailableEncryption(b"secret")))
    text = refusal(files)
    assert "must be a key without a passphrase: " in text
    assert "secret" not in text


def test_certificate_that_expired_is_a_warning(authority: Authority) -> None:
    files = authority.issue(not_after=NOW - timedelta(days=1))
    assert made(files).warning == "the certificate has expired; browsers refuse it"


def test_certificate_that_expires_soon_is_a_warning(authority: Authority) -> None:
    files = authority.issue(not_after=NOW + timedelta(days=30))
    assert made(files).warning is None
    later = (NOW + timedelta(days=25, hours=1)).timestamp()
    assert made(files, now=later).warning == "the certificate expires in 4 days"


@pytest.mark.parametrize(
    ("code", "warning"),
    [
        (9, "the certificate is not valid yet; is the clock of this machine right?"),
        (26, "clients may refuse the certificate: unsuitable certificate purpose"),
    ],
)
def test_certificate_that_clients_refuse_is_a_warning(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, code: int, warning: str
) -> None:
    shake = tls._shake_hands  # pyright: ignore[reportPrivateUsage]

    def refuse(
        client: ssl.SSLContext, server: ssl.SSLContext, cert: str | None = None
    ) -> ssl.SSLObject:
        if cert is None:
            error = ssl.SSLCertVerificationError()
            error.verify_code, error.verify_message = code, "unsuitable certificate purpose"
            raise error
        return shake(client, server, cert)

    monkeypatch.setattr(tls, "_shake_hands", refuse)
    assert made(authority.issue()).warning == warning


def test_machine_that_allows_no_handshake_is_refused(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The key is one for ECDSA, of which this suite can make no use.
    monkeypatch.setattr(tls, "_CIPHERS", "AES128-SHA:@SECLEVEL=0")
    files = authority.issue()
    context = tls._context  # pyright: ignore[reportPrivateUsage]

    def only_1_2(cert: str, key: str) -> ssl.SSLContext:
        made = context(cert, key)
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        return made

    monkeypatch.setattr(tls, "_context", only_1_2)
    assert "a certificate that TLS 1.2 or 1.3 can use (" in refusal(files)
    expired = authority.issue(not_after=NOW - timedelta(days=1))
    assert "a certificate that TLS 1.2 or 1.3 can use (" in refusal(expired)


def test_suite_without_aes_gcm_is_refused(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_CIPHERS", "ECDHE+CHACHA20")
    context = tls._context  # pyright: ignore[reportPrivateUsage]

    def only_1_2(cert: str, key: str) -> ssl.SSLContext:
        made = context(cert, key)
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        return made

    monkeypatch.setattr(tls, "_context", only_1_2)
    assert "used with TLS 1.2 or 1.3 and AES-GCM" in refusal(authority.issue())


class TestOfACluster:
    @pytest.fixture
    def cluster(self, tmp_path: Path) -> CertificateAuthority:
        return CertificateAuthority(tmp_path)

    def settings(self, cluster: CertificateAuthority, uri: str, **changes: str) -> Settings:
        own = cluster.issue(uri, ends=NOW + timedelta(days=30))
        values = {"tls_client_ca": cluster.pem, "cluster": "ward", **changes}
        return Settings(tls_cert=own.chain, tls_key=own.key, **values)  # type: ignore[arg-type]

    def made(self, cluster: CertificateAuthority, uri: str, **changes: str) -> NodeTLS:
        found = tls_of(self.settings(cluster, uri, **changes))
        assert found is not None
        return found

    def test_node_asks_for_certificates(self, cluster: CertificateAuthority) -> None:
        found = self.made(cluster, "bolide://ward/node/n1")
        assert found.context.verify_mode is ssl.CERT_REQUIRED
        assert found.clients is not None
        assert found.managers is not None
        assert found.warning is None

    def test_node_without_an_authority_asks_for_none(self, authority: Authority) -> None:
        found = made(authority.issue())
        assert found.context.verify_mode is ssl.CERT_NONE
        assert found.clients is found.managers is None

    @pytest.mark.parametrize(
        "uri", ["bolide://other/node/n1", "bolide://ward/balancer/b1", "https://n1.example.org"]
    )
    def test_certificate_that_balancers_will_refuse_is_a_warning(
        self, cluster: CertificateAuthority, uri: str
    ) -> None:
        text = "the certificate is not that of a node of ward; its balancers refuse it"
        assert self.made(cluster, uri).warning == text

    def test_authority_that_is_none_is_refused(
        self, cluster: CertificateAuthority, tmp_path: Path
    ) -> None:
        rubbish = tmp_path / "rubbish.pem"
        rubbish.write_text("rubbish")
        for path, text in ((rubbish, "bolide ca create"), (tmp_path / "no.pem", "that exists")):
            with pytest.raises(ConfigurationError, match=f"^tls_client_ca .*{text}"):
                self.made(cluster, "bolide://ward/node/n1", tls_client_ca=str(path))

    def test_list_that_is_none_is_refused(
        self, cluster: CertificateAuthority, tmp_path: Path
    ) -> None:
        (tmp_path / "denied.txt").write_text("0123\n")
        with pytest.raises(ConfigurationError, match=r"^tls_denied .*Line 1"):
            self.made(cluster, "bolide://ward/node/n1", tls_denied=str(tmp_path / "denied.txt"))
