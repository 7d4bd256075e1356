"""The commands of ``bolide ca``."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from bolide.core.errors import ConfigurationError
from bolide.core.identity import BadIdentity, Identity
from bolide.ops.certificates.authority import AUTHORITY_DAYS, DAYS, MAX_DAYS, Authority
from bolide.ops.certificates.denied_list import NAME as DENIED
from bolide.ops.certificates.denied_list import deny as put_on_list
from bolide.ops.certificates.denied_list import read_fingerprint
from bolide.ops.certificates.listing import listing, warnings
from bolide.ops.certificates.own_files import PUBLIC, replace_file
from bolide.ops.certificates.passphrase import VARIABLE, new_passphrase, passphrase
from bolide.ops.certificates.request import (
    MAX_ADDRESSES,
    Request,
    make_request,
    parse_address,
    read_request,
)
from bolide.ops.terminal.failing import told
from bolide.ops.terminal.printable import printable

__all__ = ["ca"]

_MAX_AUTHORITY_DAYS: Final = 7300

ca = typer.Typer(no_args_is_help=True, help="Run the private authority of a cluster.")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the authority.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help=f"File with the passphrase in its first line; otherwise {VARIABLE}, or it is asked.",
        show_default=False,
    ),
]
Cluster = Annotated[str, typer.Option(help="Name of the cluster, such as st-anna.")]
Curve = Annotated[Literal["P-256", "P-384"], typer.Option(help="Of the key.")]
AuthorityDays = Annotated[
    int, typer.Option("--days", help="How long it lasts.", min=1, max=_MAX_AUTHORITY_DAYS)
]


def _now() -> datetime:
    return datetime.now(UTC)


def _warn(authority: Authority) -> None:
    for line in warnings(authority, _now()):
        typer.echo(f"Warning: {printable(line)}", err=True)


@ca.command()
def create(
    folder: Folder,
    cluster: Cluster,
    curve: Curve = "P-384",
    days: AuthorityDays = AUTHORITY_DAYS,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make the authority of a cluster: on a machine that is neither balancer nor node."""
    with told():
        secret = new_passphrase(passphrase_file, os.environ, is_terminal=sys.stdin.isatty())
        authority = Authority.create(folder, cluster, secret, _now(), curve=curve, days=days)
    typer.echo(f"The authority of {cluster} is in {folder}; keep a copy, and its passphrase apart.")
    typer.echo(f"Copy {authority.bundle} to every node and balancer.")


@ca.command()
def request(
    cluster: Cluster,
    role: Annotated[Literal["node", "balancer", "ops"], typer.Option(help="What asks.")],
    name: Annotated[str, typer.Option(help="Which one of that role, such as n1.")],
    out: Annotated[Path, typer.Option(help="Folder for the key and the request.")],
    address: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name or IP address of a node; may be repeated.", show_default=False
        ),
    ] = None,
    curve: Curve = "P-256",
) -> None:
    """Make a key, and a request to sign it: where the key is used, which it never leaves."""
    with told():
        try:
            identity = Identity(cluster, role, name)
        except BadIdentity as error:
            raise ConfigurationError("--cluster or --name", name, f"a name. {error}") from None
        addresses = [parse_address(text) for text in address or []]
        if addresses and role != "node":
            raise ConfigurationError("--address", addresses[0], "left out: only nodes have them")
        if len(addresses) > MAX_ADDRESSES:
            raise ConfigurationError(
                "--address", "too many", f"given {MAX_ADDRESSES} times at most"
            )
        key, csr = make_request(identity, addresses, out, curve=curve)
    typer.echo(f"The key is {key}; it stays here.")
    typer.echo(f"Bring {csr} to the authority: bolide ca sign FOLDER {csr.name}")


@ca.command()
def sign(
    folder: Folder,
    file: Annotated[Path, typer.Argument(metavar="REQUEST.csr", help="What is to be signed.")],
    days: Annotated[
        int, typer.Option(help="How long the certificate lasts.", min=1, max=MAX_DAYS)
    ] = DAYS,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File of the certificate; otherwise beside the request.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign a request, after showing what will be signed."""
    with told():
        authority = Authority.open(folder)
        wanted = read_request(file, authority.cluster)
        for line in _shown(authority, wanted, days):
            typer.echo(printable(line))
        if not yes:
            if not sys.stdin.isatty():
                raise ConfigurationError("--yes", None, "given where nobody can be asked")
            typer.confirm("Sign it?", abort=True)
        secret = passphrase(passphrase_file, os.environ, is_terminal=sys.stdin.isatty())
        certificate = authority.sign(wanted, secret, _now(), days=days)
        target = out or file.with_suffix(".pem")
        try:
            replace_file(target, certificate, PUBLIC)
        except OSError as error:
            expected = (
                f"a file that can be written ({error.strerror}); the request can be signed anew"
            )
            raise ConfigurationError("--out", str(target), expected) from None
    typer.echo(f"The certificate is {target}; put it beside its key.")
    _warn(authority)


def _shown(authority: Authority, wanted: Request, days: int) -> list[str]:
    """Return what somebody is to agree to."""
    purpose = "serves" if wanted.identity.role == "node" else "connects to nodes"
    lines = [
        f"{wanted.identity}",
        f"  role       {wanted.identity.role}: {purpose}",
        f"  addresses  {' '.join(wanted.addresses) or 'none'}",
        f"  key        P-{wanted.key.curve.key_size}",
        f"  lasts      {days} {'day' if days == 1 else 'days'}",
    ]
    lines += [
        f"  renews     the one that ends on {entry.ends:%Y-%m-%d}"
        for entry in authority.in_use(_now())
        if entry.identity == str(wanted.identity)
    ]
    return lines


@ca.command()
def rotate(
    folder: Folder,
    finish: Annotated[
        bool, typer.Option("--finish", help="End a rotation: the former key is believed no more.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even if its certificates are in use.")
    ] = False,
    curve: Curve = "P-384",
    days: AuthorityDays = AUTHORITY_DAYS,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Give the authority a new key; both are believed until --finish."""
    with told():
        authority = Authority.open(folder)
        if finish:
            authority = authority.finish(_now(), is_forced=force)
            typer.echo(f"Copy {authority.bundle} to every node and balancer once more.")
            return
        if force:
            raise ConfigurationError("--force", True, "given together with --finish only")
        secret = new_passphrase(passphrase_file, os.environ, is_terminal=sys.stdin.isatty())
        authority = authority.rotate(secret, _now(), curve=curve, days=days)
    typer.echo("The authority has a new key. Now, in this order:")
    typer.echo(f"  1. copy {authority.bundle} to every node and balancer, and let them read it;")
    typer.echo("  2. request and sign a new certificate for each of them;")
    typer.echo(f"  3. bolide ca rotate --finish {folder}, and copy it once more.")


@ca.command()
def deny(
    place: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help="The authority, or a list of its own.")
    ],
    certificate: Annotated[
        str, typer.Argument(metavar="CERT|FINGERPRINT", help="PEM file, or SHA-256 fingerprint.")
    ],
) -> None:
    """Put a certificate on the list of those that are denied."""
    with told():
        fingerprint = read_fingerprint(certificate)
        file = place / DENIED if place.is_dir() else place
        who = _owner(place, fingerprint)
        is_new = put_on_list(file, fingerprint, f"{who}, {_now():%Y-%m-%d}")
    typer.echo(f"{'Denied' if is_new else 'It was denied already'}: {fingerprint} {who}")
    typer.echo(f"Copy {file} to every node and balancer.")


def _owner(place: Path, fingerprint: str) -> str:
    """Return whose certificate it is, as far as an authority knows."""
    if place.is_dir():
        for entry in Authority.open(place).register.read():
            if entry.fingerprint == fingerprint:
                return entry.identity
    return "unknown"


@ca.command("list")
def list_certificates(folder: Folder) -> None:
    """Show what is in use and when it ends; warnings go to standard error."""
    with told():
        authority = Authority.open(folder)
        for line in listing(authority, _now()):
            typer.echo(printable(line))
        _warn(authority)
