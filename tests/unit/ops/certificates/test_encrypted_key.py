import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from bolide.ops.certificates import encrypted_key
from bolide.ops.certificates.encrypted_key import WrongPassphrase, decrypt_key, encrypt_key

_PASSPHRASE = "fünf Wörter, durch Los bestimmt".encode()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_a_key_is_read_again_with_its_passphrase(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    pem = encrypt_key(key, _PASSPHRASE)
    assert decrypt_key(pem, _PASSPHRASE).private_numbers() == key.private_numbers()


@pytest.mark.parametrize("passphrase", [b"", b"another one, as long", _PASSPHRASE + b" "])
def test_another_passphrase_opens_nothing(passphrase: bytes) -> None:
    pem = encrypt_key(ec.generate_private_key(ec.SECP256R1()), _PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        decrypt_key(pem, passphrase)


def test_what_is_no_encrypted_key_opens_nothing() -> None:
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(_PASSPHRASE)
    )
    for pem in (b"", b"rubbish", other):
        with pytest.raises(WrongPassphrase):
            decrypt_key(pem, _PASSPHRASE)


def test_the_same_key_is_sealed_differently_each_time() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert encrypt_key(key, _PASSPHRASE) != encrypt_key(key, _PASSPHRASE)


def test_a_guess_costs_the_full_number_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert encrypted_key.ROUNDS == 600_000
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl")
    pem = encrypt_key(ec.generate_private_key(ec.SECP384R1()), _PASSPHRASE)
    shown = subprocess.run(
        [openssl, "asn1parse"], input=pem, capture_output=True, check=True
    ).stdout.decode()
    assert f"INTEGER           :{600_000:06X}" in shown
    assert "hmacWithSHA256" in shown
    assert "aes-256-cbc" in shown
