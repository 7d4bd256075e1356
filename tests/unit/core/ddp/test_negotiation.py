"""Versions: which is agreed on."""

import pytest

from bolide.core.ddp.negotiation import Accepted, Refused, negotiate


@pytest.mark.parametrize(
    ("version", "support", "outcome"),
    [
        ("1", ["1", "pre2", "pre1"], Accepted("1")),
        ("pre1", ["pre1", "1"], Accepted("pre1")),
        ("pre2", ["pre2"], Accepted("pre2")),
        ("1", ["2", "1"], Accepted("1")),
        ("pre1", ["1", "pre1"], Refused("1")),
        ("2", ["2", "pre2"], Refused("pre2")),
        ("2", ["2"], Refused("1")),
        ("1", [], Refused("1")),
        ("1", ["pre1"], Refused("1")),
        (None, [], Refused("1")),
    ],
)
def test_first_version_the_client_offers_and_we_know_decides(
    version: str | None, support: list[str], outcome: Accepted | Refused
) -> None:
    assert negotiate(version, support) == outcome
