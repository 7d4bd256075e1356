"""Certificates of an authority that lives as long as a test."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

__all__ = ["Authority", "Files"]


@dataclass(frozen=True)
class Files:
    """What a node is given."""

    cert: str
    key: str


class Authority:
    """An authority, and clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self._issued = 0

    def issue(self, *names: str, not_after: datetime | None = None) -> Files:
        """Write a certificate with its chain, and its key as its owner would keep it."""
        self._issued += 1
        issued = self._ca.issue_cert(*(names or ("127.0.0.1", "localhost")), not_after=not_after)
        cert, key = (self._folder / f"{kind}{self._issued}.pem" for kind in ("cert", "key"))
        for blob in issued.cert_chain_pems:
            blob.write_to_path(cert, append=True)
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return Files(str(cert), str(key))

    def issue_in_one(self, *names: str, not_after: datetime | None = None) -> str:
        """Write a certificate and its key into one file, as MongoDB wants them."""
        files = self.issue(*names, not_after=not_after)
        path = Path(files.cert).with_suffix(".both.pem")
        path.touch(0o600)
        path.write_bytes(Path(files.cert).read_bytes() + Path(files.key).read_bytes())
        return str(path)

    def issue_to(self, name: str, unit: str, organization: str) -> str:
        """Write a certificate of somebody by name, and its key, into one file."""
        issued = self._ca.issue_cert(
            f"{name}.example.org",
            common_name=name,
            organization_unit_name=unit,
            organization_name=organization,
        )
        path = self._folder / f"{name}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        path.chmod(0o600)
        return str(path)

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._ca.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
        return context

    def file(self) -> Path:
        """Write the authority's own certificate, for programs that are told by a variable."""
        path = self._folder / "authority.pem"
        self._ca.cert_pem.write_to_path(path)
        return path
