"""Which version is offered next."""

from bolide.client.ddp.versions import VERSIONS, VersionOffers


def test_preferred_version_is_offered_first_with_all_that_are_supported() -> None:
    assert VersionOffers().offer() == (VERSIONS[0], VERSIONS)


def test_version_that_the_server_wants_is_offered_next_and_stays() -> None:
    offers = VersionOffers()
    offers.offer()
    assert offers.refused("pre2")
    assert offers.offer() == ("pre2", ("pre2", "1"))
    offers.accepted()
    assert offers.offer()[0] == "pre2"


def test_server_that_wants_what_we_do_not_speak_or_each_in_turn_is_refused() -> None:
    offers = VersionOffers()
    offers.offer()
    assert not offers.refused("2")
    offers.offer()
    assert offers.refused("pre2")
    offers.offer()
    assert not offers.refused("1")
    assert offers.offer()[0] == VERSIONS[0]
