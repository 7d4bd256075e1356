import os
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from bolide.ops.cli import app

_PASSPHRASE = "correct horse battery staple"
_ASKS = ("request", "--cluster", "ward", "--out", "x", "--role")


class Bolide:
    """Runs ``bolide ca`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runner = CliRunner()

    def __call__(self, *words: str, status: int = 0) -> str:
        environment = {"BOLIDE_CA_PASSPHRASE": _PASSPHRASE}
        result = self._runner.invoke(app, ["ca", *words], env=environment)
        text = result.output
        assert result.exit_code == status, text
        return text


@pytest.fixture
def bolide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bolide:
    monkeypatch.chdir(tmp_path)
    return Bolide(tmp_path)


@pytest.fixture
def authority(bolide: Bolide) -> Bolide:
    bolide("create", "ca", "--cluster", "ward")
    return bolide


def _request(bolide: Bolide, *words: str) -> None:
    bolide("request", "--cluster", "ward", "--role", "node", "--name", "n1", "--out", "new", *words)


def test_a_certificate_comes_about_by_three_commands(bolide: Bolide) -> None:
    assert "Copy ca/ca.pem to every node" in bolide("create", "ca", "--cluster", "ward")
    asked = bolide(
        *("request", "--cluster", "ward", "--role", "node", "--name", "n1"),
        *("--address", "10.0.0.1", "--address", "N1.example.org", "--out", "new"),
    )
    assert "new/n1.key; it stays here" in asked
    assert "bolide ca sign FOLDER n1.csr" in asked
    shown = bolide("sign", "ca", "new/n1.csr", "--yes")
    for line in (
        "bolide://ward/node/n1",
        "10.0.0.1 n1.example.org",
        "30 days",
        "P-256",
        "new/n1.pem",
    ):
        assert line in shown
    certificate = x509.load_pem_x509_certificate(Path("new/n1.pem").read_bytes())
    authority = x509.load_pem_x509_certificate(Path("ca/ca.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert "bolide://ward/node/n1" in bolide("list", "ca")


def test_a_certificate_is_written_where_it_is_wanted(authority: Bolide) -> None:
    _request(authority)
    authority("sign", "ca", "new/n1.csr", "--yes", "--out", "n1.crt", "--days", "7")
    assert Path("n1.crt").exists()
    assert "7 days" in authority("list", "ca") or "6 days" in authority("list", "ca")
    told = authority("sign", "ca", "new/n1.csr", "--yes", "--out", "no/n1.crt", status=2)
    assert "the request can be signed anew" in told


def test_without_a_yes_nothing_is_signed(authority: Bolide) -> None:
    _request(authority)
    assert "--yes" in authority("sign", "ca", "new/n1.csr", status=2)
    assert not Path("new/n1.pem").exists()
    assert not Path("ca/issued.jsonl").exists()


def test_whoever_signs_sees_that_a_name_has_a_certificate(authority: Bolide) -> None:
    _request(authority)
    assert "renews" not in authority("sign", "ca", "new/n1.csr", "--yes")
    assert "renews     the one that ends on " in authority("sign", "ca", "new/n1.csr", "--yes")


def test_a_certificate_that_ends_soon_is_warned_of(authority: Bolide) -> None:
    _request(authority)
    assert "Warning: bolide://ward/node/n1 ends in " in authority(
        "sign", "ca", "new/n1.csr", "--yes", "--days", "3"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "ca", "--cluster", "ward"), "bolide ca rotate"),
        (("create", "other", "--cluster", "Ward 7"), "--cluster"),
        (("sign", "nothing", "x.csr", "--yes"), "bolide ca create"),
        (("sign", "ca", "x.csr", "--yes"), "No such file"),
        (("rotate", "ca", "--finish"), "leave --finish out"),
        (("rotate", "ca", "--force"), "--finish only"),
        (("deny", "ca", "nothing.pem"), "SHA-256"),
        (("list", "nothing"), "bolide ca create"),
        ((*_ASKS, "node", "--name", "N 1"), "--name"),
        ((*_ASKS, "ops", "--name", "a", "--address", "b"), "only nodes"),
        ((*_ASKS, "node", "--name", "a", "--address", "b:1"), "without port"),
        ((*_ASKS, "node", "--name", "a", *["--address", "b"] * 33), "32 times at most"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    authority: Bolide, words: tuple[str, ...], told: str
) -> None:
    before = {path: path.read_bytes() for path in Path("ca").iterdir()}
    text = authority(*words, status=2)
    assert text.startswith("bolide: ")
    assert text.count("\n") == 1
    assert told in text
    assert {path: path.read_bytes() for path in Path("ca").iterdir()} == before
    assert not Path("x").exists()


def test_an_authority_gets_a_new_key(authority: Bolide) -> None:
    _request(authority)
    authority("sign", "ca", "new/n1.csr", "--yes")
    told = authority("rotate", "ca")
    assert "1. copy ca/ca.pem" in told
    assert "3. bolide ca rotate --finish ca" in told
    assert Path("ca/ca.pem").read_text().count("BEGIN CERTIFICATE") == 2
    assert "in use: bolide://ward/node/n1" in authority("rotate", "ca", "--finish", status=2)
    authority("sign", "ca", "new/n1.csr", "--yes")
    assert "once more" in authority("rotate", "ca", "--finish")
    assert Path("ca/ca.pem").read_text().count("BEGIN CERTIFICATE") == 1


def test_a_certificate_is_denied_with_the_name_of_its_owner(authority: Bolide) -> None:
    _request(authority)
    authority("sign", "ca", "new/n1.csr", "--yes")
    assert "Denied: " in authority("deny", "ca", "new/n1.pem")
    assert "bolide://ward/node/n1, " in Path("ca/denied.txt").read_text()
    assert "It was denied already" in authority("deny", "ca", "new/n1.pem")
    assert "Nothing that was signed is in use" in authority("list", "ca")


def test_a_fingerprint_is_put_on_a_list_of_its_own(bolide: Bolide) -> None:
    assert "Copy list.txt" in bolide("deny", "list.txt", "AB:" * 31 + "AB")
    assert Path("list.txt").read_text().startswith(f"{'ab' * 32}  # unknown, 20")


def test_a_passphrase_comes_from_a_file(bolide: Bolide) -> None:
    descriptor = os.open("secret", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b"of the file, and long\n")
    os.close(descriptor)
    bolide("create", "ca", "--cluster", "ward", "--passphrase-file", "secret")
    _request(bolide)
    assert "The passphrase is" in bolide("sign", "ca", "new/n1.csr", "--yes", status=2)
    bolide("sign", "ca", "new/n1.csr", "--yes", "--passphrase-file", "secret")
