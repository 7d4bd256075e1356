"""Ids and seeds from fresh entropy, for what no client's seed decides."""

import secrets

from bolide.core.ddp.random import RandomStream

__all__ = ["random_id", "random_seed"]

_SEED_BYTES = 20


def random_seed() -> str:
    """Return a seed for the streams of an invocation, 40 hexadecimal digits."""
    return secrets.token_hex(_SEED_BYTES)


def random_id() -> str:
    """Return an id as Meteor makes them, 17 characters."""
    return RandomStream(random_seed()).id()
