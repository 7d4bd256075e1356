"""Schedules that once went wrong, as short as they could be made."""

from tests.property.live_core.machine import Step, run_schedule

_PROGRESS: list[Step] = [
    step for _ in range(5) for node in (0, 1) for step in (("round trip", node, 4), ("turn", 9))
]


async def test_what_follows_a_drop_is_not_shown_beside_what_was_dropped() -> None:
    await run_schedule(
        "memory",
        [
            ("direct", "put", "a", 1),
            ("turn", 5),
            ("hold reads", 0),
            ("subscribe", 0, "all"),
            ("turn", 5),
            ("direct", "drop"),
            ("turn", 5),
            ("direct", "put", "b", 1),
            ("turn", 5),
            ("answer", 0, 0),
            ("turn", 12),
        ],
    )


async def test_documents_without_a_view_are_not_lost_in_a_resync() -> None:
    await run_schedule(
        "memory",
        [
            ("direct", "side", "a", 1),
            ("subscribe", 0, "plain"),
            ("settle",),
            ("come back", 0, 0, 0, 2, False),
        ],
    )


async def test_nothing_is_taken_from_another_user_who_got_nothing() -> None:
    await run_schedule(
        "memory",
        [
            ("direct", "side", "a", 1),
            ("subscribe", 0, "plain"),
            ("settle",),
            ("come back", 0, 0, 0, 2, True),
            ("turn", 9),
            ("login", 0, "ann"),
        ],
    )


async def test_what_is_said_before_a_resync_is_known_to_be_void_is_no_error() -> None:
    await run_schedule(
        "memory",
        [
            ("direct", "put", "a", 1),
            ("direct", "put", "b", 1),
            ("subscribe", 0, "all"),
            ("settle",),
            ("come back", 0, 0, 1, 1, False),
            ("turn", 3),
            ("login", 0, "ann"),
        ],
    )


async def test_who_changes_the_node_sees_his_own_writes() -> None:
    await run_schedule(
        "sqlite",
        [
            ("subscribe", 1, "all"),
            ("settle",),
            ("hold feed", 1),
            ("subscribe", 0, "all"),
            ("call", 0, "put", "a", 2),
            *_PROGRESS,
            ("reconnect", 0, 1),
            *_PROGRESS,
        ],
        keeps_own_writes=True,
    )


async def test_a_call_without_effect_that_has_one_when_it_is_repeated() -> None:
    await run_schedule(
        "memory",
        [
            ("subscribe", 3, "all"),
            ("direct", "put", "c", 1),
            ("settle",),
            ("call", 3, "insert", "c", 1),
            *_PROGRESS,
            ("direct", "delete", "c"),
            *_PROGRESS,
            ("repeat", 3, 0),
        ],
    )
