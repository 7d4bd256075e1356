from datetime import timedelta

from tests.unit.ops.certificates.conftest import NOW, PASSPHRASE, MakeRequest

from bolide.ops.certificates.authority import AUTHORITY_DAYS, Authority
from bolide.ops.certificates.listing import listing, warnings


def test_a_new_authority_has_nothing_in_use_and_nothing_to_warn_of(authority: Authority) -> None:
    assert list(listing(authority, NOW)) == [
        "Cluster ward",
        "  authority 1825 days        signs",
        "  Nothing that was signed is in use.",
    ]
    assert list(warnings(authority, NOW)) == []


def test_what_ends_first_is_shown_first(authority: Authority, make: MakeRequest) -> None:
    authority.sign(make("bolide://ward/node/n1", "10.0.0.1", "n1.local"), PASSPHRASE, NOW)
    authority.sign(make("bolide://ward/ops/ada"), PASSPHRASE, NOW, days=1)
    lines = [line.split() for line in list(listing(authority, NOW))[2:]]
    assert [line[1:] for line in lines] == [
        ["24", "hours", "bolide://ward/ops/ada"],
        ["30", "days", "bolide://ward/node/n1", "10.0.0.1", "n1.local"],
    ]


def test_what_ends_soon_is_warned_of_with_what_to_do(
    authority: Authority, make: MakeRequest
) -> None:
    authority.sign(make("bolide://ward/node/n1"), PASSPHRASE, NOW)
    later = NOW + timedelta(days=20, seconds=1)
    [line] = warnings(authority, later)
    assert line == "bolide://ward/node/n1 ends in 9 days: `bolide ca request`."


def test_an_authority_that_ends_soon_is_warned_of(authority: Authority) -> None:
    [line] = warnings(authority, NOW + timedelta(days=AUTHORITY_DAYS - 179))
    assert line == "The authority ends in 179 days: `bolide ca rotate`."
    [line] = warnings(authority, NOW + timedelta(days=AUTHORITY_DAYS))
    assert line.startswith("The authority has ended")


def test_a_rotation_that_is_not_finished_is_warned_of(authority: Authority) -> None:
    rotated = authority.rotate(PASSPHRASE, NOW)
    [line] = warnings(rotated, NOW)
    assert "--finish" in line
    assert [line.split()[-1] for line in list(listing(rotated, NOW))[1:3]] == ["signs", "only"]
