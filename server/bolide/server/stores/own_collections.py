"""The collections that Bolide keeps beside the app's, all in one place.

What a node may do in a database is printed from this list, so a name that is missing here is one
that a node may not write to (docs/design/mongodb.md, Rights).
"""

from typing import Final

__all__ = ["CALLS", "FENCES", "JOBS", "MESSAGES", "NODES", "OWN_COLLECTIONS", "SECRETS"]

CALLS: Final = "_bolide_calls"
"""Calls that were claimed, and their outcomes."""

FENCES: Final = "_bolide_fences"
"""Is written to so that the change stream moves on."""

JOBS: Final = "_bolide_jobs"
"""Leases of scheduled jobs, and what their runs came to."""

MESSAGES: Final = "_bolide_messages"
"""What nodes tell one another."""

NODES: Final = "_bolide_nodes"
"""What nodes say of themselves to balancers."""

SECRETS: Final = "_bolide_secrets"
"""What nodes know and nobody else, such as Redis, is to know."""

OWN_COLLECTIONS: Final = frozenset({CALLS, FENCES, JOBS, MESSAGES, NODES, SECRETS})
"""All of them."""
