"""The operator's side of TLS to the management listener of a node."""

import ssl
from typing import cast

from bolide.core.errors import ConfigurationError
from bolide.core.identity import BadIdentity, identity_of

__all__ = ["is_node", "operator_context"]


def operator_context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    """Return a context that shows an operator's certificate and believes the cluster's authority.

    Nodes are known by their role and not by a host name: ask them :func:`is_node`.

    Args:
        ca: PEM file with the authorities of the cluster.
        cert: PEM file with the operator's certificate.
        key: PEM file with its key.

    Raises:
        ConfigurationError: If one is not given or cannot be used.
    """
    for option, path in (("--ca", ca), ("--cert", cert), ("--key", key)):
        if path is None:
            expected = "given for https://: a node of a cluster answers certificates only"
            raise ConfigurationError(option, None, expected)
    assert ca is not None
    assert cert is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM")
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise ConfigurationError("--ca", ca, _pem(error)) from None
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigurationError("--cert", cert, f"{_pem(error)}, and --key its key") from None
    return context


def is_node(connection: ssl.SSLObject | ssl.SSLSocket) -> bool:
    """Tell whether a node answers; any member of a cluster could otherwise.

    Args:
        connection: Hands were shaken.
    """
    read = connection.getpeercert() or {}
    names = cast("tuple[tuple[str, object], ...]", read.get("subjectAltName", ()))
    try:
        return identity_of(names).role == "node"
    except BadIdentity:
        return False


def _pem(error: OSError) -> str:
    why = getattr(error, "reason", None) or error.strerror
    return f"a readable PEM file ({why})" if why else "a readable PEM file"
