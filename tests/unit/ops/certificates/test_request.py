import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bolide.core.errors import ConfigurationError
from bolide.core.identity import parse_identity
from bolide.ops.certificates.request import (
    MAX_ADDRESSES,
    make_request,
    parse_address,
    read_request,
)

_NODE = parse_identity("bolide://ward/node/n1")
_URI = x509.UniformResourceIdentifier(str(_NODE))


def _csr(
    folder: Path,
    names: Sequence[x509.GeneralName] | None,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
) -> Path:
    """Write a request as another program might."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    csr = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), SHA256())
    file = folder / "other.csr"
    file.write_bytes(csr.public_bytes(Encoding.PEM))
    return file


def _refusal(file: Path) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_request(file, "ward")
    text = str(raised.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("curve", ["P-256", "P-384"])
def test_a_request_is_read_as_it_was_made(tmp_path: Path, curve: str) -> None:
    addresses = ("n1.example.org", "10.0.0.1", "fd00::1")
    _, csr = make_request(_NODE, addresses, tmp_path / "new" / "folder", curve=curve)
    read = read_request(csr, "ward")
    assert read.identity == _NODE
    assert read.addresses == addresses
    assert read.key.curve.key_size == int(curve[2:])


def test_a_key_is_closed_to_others_and_a_request_is_not(tmp_path: Path) -> None:
    key, csr = make_request(_NODE, (), tmp_path)
    assert (key.name, csr.name) == ("n1.key", "n1.csr")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(csr.stat().st_mode) == 0o644
    assert b"PRIVATE" not in csr.read_bytes()


def test_a_key_that_there_is_already_is_not_written_over(tmp_path: Path) -> None:
    key, csr = make_request(_NODE, (), tmp_path)
    before = key.read_bytes(), csr.read_bytes()
    with pytest.raises(ConfigurationError, match=r"a folder without n1\.key"):
        make_request(_NODE, (), tmp_path)
    assert (key.read_bytes(), csr.read_bytes()) == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--out"):
        make_request(_NODE, (), tmp_path / "file" / "folder")


def test_a_request_of_another_program_is_read(tmp_path: Path) -> None:
    read = read_request(_csr(tmp_path, [x509.DNSName("n1.example.org"), _URI]), "ward")
    assert (read.identity, read.addresses) == (_NODE, ("n1.example.org",))


def test_a_request_for_another_cluster_is_refused(tmp_path: Path) -> None:
    _, csr = make_request(parse_identity("bolide://other/node/n1"), (), tmp_path)
    assert "for the cluster ward" in _refusal(csr)


@pytest.mark.parametrize("role", ["balancer", "ops"])
def test_only_nodes_have_addresses(tmp_path: Path, role: str) -> None:
    uri = x509.UniformResourceIdentifier(f"bolide://ward/{role}/b1")
    assert "only nodes have them" in _refusal(_csr(tmp_path, [uri, x509.DNSName("b1")]))


@pytest.mark.parametrize(
    "names",
    [
        None,
        [],
        [x509.DNSName("n1.example.org")],
        [_URI, _URI],
        [_URI, x509.UniformResourceIdentifier("https://example.org")],
        [x509.UniformResourceIdentifier("bolide://ward/admin/n1")],
        [_URI, x509.RFC822Name("ada@example.org")],
        [_URI, x509.DNSName("*.example.org")],
        [_URI, x509.DNSName("n1 example")],
        [_URI, *[x509.DNSName(f"n{number}.example.org") for number in range(MAX_ADDRESSES + 1)]],
    ],
)
def test_a_request_for_other_names_is_refused(
    tmp_path: Path, names: Sequence[x509.GeneralName] | None
) -> None:
    assert _refusal(_csr(tmp_path, names)).startswith("The request is ")


@pytest.mark.parametrize("kind", ["rsa", "P-521"])
def test_a_request_with_another_kind_of_key_is_refused(tmp_path: Path, kind: str) -> None:
    key = (
        rsa.generate_private_key(65537, 2048)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP521R1())
    )
    assert "a key on P-256 or P-384" in _refusal(_csr(tmp_path, [_URI], key))


def test_a_request_whose_signature_is_not_its_keys_is_refused(tmp_path: Path) -> None:
    csr = x509.load_pem_x509_csr(_csr(tmp_path, [_URI]).read_bytes())
    der = csr.public_bytes(Encoding.DER)
    forged = der.replace(b"/node/n1", b"/node/n2")
    assert forged != der
    file = tmp_path / "forged.csr"
    file.write_bytes(x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM))
    assert "signed by the key that is in it" in _refusal(file)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"rubbish",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"x" * 70_000,
    ],
)
def test_rubbish_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "rubbish"
    file.write_bytes(data)
    assert "a certificate signing request as PEM text" in _refusal(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No such file" in _refusal(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("N1.Example.org", "n1.example.org"),
        ("localhost", "localhost"),
        ("10.0.0.1", "10.0.0.1"),
        ("FD00:0::1", "fd00::1"),
    ],
)
def test_an_address_has_one_spelling(text: str, read: str) -> None:
    assert parse_address(text) == read


@pytest.mark.parametrize(
    "text", ["", "n1:3000", "[::1]", "*.example.org", "n_1", "10.0.0.256", "a..b", "n1.", "x" * 64]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--address"):
        parse_address(text)
