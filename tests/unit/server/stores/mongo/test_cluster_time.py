import pytest
from bson.timestamp import Timestamp

from bolide.server.stores.mongo.cluster_time import (
    first_position,
    last_write,
    position_of,
    seconds_between,
    time_of,
    token_position,
)

HIGH_WATER = {"_data": "8265A1B2C3000000072B0429296E1404"}
EVENT = {"_data": "8265A1B2C3000000072B022C0100296E5A1004"}
TIME = Timestamp(0x65A1B2C3, 7)


def test_a_position_is_a_cluster_time_in_its_order() -> None:
    times = [Timestamp(1, 0), Timestamp(1, 2**32 - 1), Timestamp(2, 0), Timestamp(2**32 - 1, 5)]
    positions = [position_of(time) for time in times]
    assert positions == sorted(positions)
    assert [time_of(position) for position in positions] == times


def test_a_token_holds_its_time() -> None:
    assert token_position(HIGH_WATER) == token_position(EVENT) == position_of(TIME)


def test_a_stream_begins_before_the_time_of_its_first_token_unless_that_is_an_events() -> None:
    assert first_position(HIGH_WATER) == position_of(TIME) - 1
    assert first_position(EVENT) == position_of(TIME)


@pytest.mark.parametrize("token", [{}, {"_data": 1}, {"_data": "82"}, {"_data": "99" * 20}])
def test_a_token_of_another_kind_is_refused(token: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not known"):
        token_position(token)


def test_a_position_is_never_ahead_of_a_time() -> None:
    assert seconds_between(position_of(Timestamp(10, 3)), Timestamp(14, 1)) == 4
    assert seconds_between(position_of(Timestamp(10, 3)), Timestamp(10, 1)) == 0
    assert seconds_between(position_of(Timestamp(10, 3)), Timestamp(9, 1)) == 0


def test_the_last_write_is_that_of_the_primary_or_the_time_of_the_answer() -> None:
    hello = {
        "lastWrite": {"opTime": {"ts": TIME}, "majorityOpTime": {"ts": Timestamp(3, 4)}},
        "operationTime": Timestamp(5, 6),
    }
    assert last_write(hello, "opTime") == position_of(TIME)
    assert last_write(hello, "majorityOpTime") == position_of(Timestamp(3, 4))
    # As a mongos answers.
    assert last_write({"operationTime": TIME}, "opTime") == position_of(TIME)
