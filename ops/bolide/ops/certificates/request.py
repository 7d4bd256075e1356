"""What somebody asks an authority to sign: made where the key is used, read where it is signed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bolide.core.errors import ConfigurationError
from bolide.core.identity import BadIdentity, Identity, identity_of
from bolide.ops.certificates.own_files import PRIVATE, PUBLIC, create_file

__all__ = [
    "CURVES",
    "MAX_ADDRESSES",
    "Request",
    "alternative_names",
    "hash_for",
    "make_request",
    "parse_address",
    "read_request",
    "subject_of",
]

CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}
MAX_ADDRESSES: Final = 32
"""Most addresses of a node."""

_MAX_BYTES: Final = 65_536
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_IS_HOST: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*").fullmatch

_Refuse: TypeAlias = Callable[[str], ConfigurationError]
_Names: TypeAlias = tuple[Identity, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be signed.

    Attributes:
        identity: Who asks.
        addresses: Host names and IP addresses at which a node is reached.
        key: The public one.
    """

    identity: Identity
    addresses: tuple[str, ...]
    key: ec.EllipticCurvePublicKey


def make_request(
    identity: Identity, addresses: Sequence[str], folder: Path, *, curve: str = "P-256"
) -> tuple[Path, Path]:
    """Make a key and a request beside it.

    Args:
        identity: Who asks.
        addresses: Of a node, as :func:`parse_address` returned them.
        folder: Made if it does not exist.
        curve: One of :data:`CURVES`.

    Returns:
        The file of the key and that of the request.

    Raises:
        ConfigurationError: If there is such a key already, or nothing can be written there.
    """
    key = ec.generate_private_key(CURVES[curve]())
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject_of(identity))
        .add_extension(alternative_names(identity, addresses), critical=False)
    )
    request = builder.sign(key, hash_for(key.curve))
    paths = folder / f"{identity.name}.key", folder / f"{identity.name}.csr"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        create_file(paths[0], secret, PRIVATE)
    except FileExistsError:
        expected = (
            f"a folder without {paths[0].name}: that key may be in use; take another folder, and"
            " put the new key and certificate in its place when both are there"
        )
        raise ConfigurationError("--out", str(folder), expected) from None
    except OSError as error:
        expected = f"a folder that can be written to ({error.strerror})"
        raise ConfigurationError("--out", str(folder), expected) from None
    paths[1].unlink(missing_ok=True)
    create_file(paths[1], request.public_bytes(Encoding.PEM), PUBLIC)
    return paths


def read_request(file: Path, cluster: str) -> Request:
    """Read a request, and check everything that the certificate will say.

    Args:
        file: PEM, of ``bolide ca request`` or of another program.
        cluster: Whose authority is asked.

    Raises:
        ConfigurationError: If it cannot be signed; it says what is wrong with it.
    """

    def refuse(expected: str) -> ConfigurationError:
        return ConfigurationError("The request", str(file), expected)

    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError
        csr = x509.load_pem_x509_csr(data)
        is_signed = csr.is_signature_valid
        extensions = csr.extensions
        key = csr.public_key()
    except OSError as error:
        raise refuse(f"a file that can be read ({error.strerror})") from None
    except Exception:  # of a stranger's bytes: the library has more kinds than it tells
        raise refuse("a certificate signing request as PEM text") from None
    if not is_signed:
        raise refuse("signed by the key that is in it: make a new one with `bolide ca request`")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, tuple(CURVES.values())
    ):
        raise refuse("for a key on P-256 or P-384")
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise refuse("made by `bolide ca request`: it has no subject alternative names") from None
    identity, addresses = _read_names(names, refuse)
    if identity.cluster != cluster:
        raise refuse(f"for the cluster {cluster}, whose authority this is")
    if addresses and identity.role != "node":
        raise refuse("without addresses: only nodes have them")
    return Request(identity, addresses, key)


def _read_names(names: x509.SubjectAlternativeName, refuse: _Refuse) -> _Names:
    uris = [
        ("URI", name.value) for name in names if isinstance(name, x509.UniformResourceIdentifier)
    ]
    try:
        identity = identity_of(uris)
    except BadIdentity as error:
        raise refuse(f"for one of a cluster. {error}") from None
    addresses = list[str]()
    for name in names:
        match name:
            case x509.UniformResourceIdentifier():
                continue
            case x509.DNSName():
                address = name.value
            case x509.IPAddress():
                address = str(name.value)
            case _:
                raise refuse("without names other than one URI, host names and IP addresses")
        try:
            addresses.append(parse_address(address))
        except ConfigurationError:
            raise refuse("for plain host names and IP addresses, no wildcards") from None
    if len(addresses) > MAX_ADDRESSES:
        raise refuse(f"for {MAX_ADDRESSES} addresses at most")
    return identity, tuple(addresses)


def parse_address(text: str) -> str:
    """Read a host name or an IP address, and return the one way to write it.

    Args:
        text: Without port and brackets.

    Raises:
        ConfigurationError: If it is neither.
    """
    try:
        return str(ip_address(text))
    except ValueError:
        name = text.lower()
        # A name that ends in a number would be read as an IP address by browsers.
        if _IS_HOST(name) and not name.rpartition(".")[2].isdigit():
            return name
    expected = "a host name or an IP address, without port"
    raise ConfigurationError("--address", text, expected)


def alternative_names(identity: Identity, addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    """Return what a certificate says of its owner.

    Args:
        identity: Who it is.
        addresses: As :func:`parse_address` returned them.
    """
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(identity))]
    for address in addresses:
        try:
            names.append(x509.IPAddress(ip_address(address)))
        except ValueError:
            names.append(x509.DNSName(address))
    return x509.SubjectAlternativeName(names)


def subject_of(identity: Identity) -> x509.Name:
    """Return the name that people see in other programs; ours go by the URI."""
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.cluster),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, identity.role),
        x509.NameAttribute(NameOID.COMMON_NAME, identity.name),
    ])  # fmt: skip


def hash_for(curve: ec.EllipticCurve) -> SHA256 | SHA384:
    """Return the hash that is as strong as a curve."""
    return SHA384() if curve.key_size > 256 else SHA256()
