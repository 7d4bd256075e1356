"""The texts name what the app wrote, and say what to do."""

import pytest

from bolide.server.logging.explained import Explained
from bolide.server.publications.joins.errors import (
    ChildFailed,
    FieldNotShown,
    JoinError,
    JoinTooDeep,
    JoinTooWide,
    UnmergedChild,
    WrongChild,
)


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (ChildFailed("ward.f"), "The child function ward.f failed.", "child-failed"),
        (WrongChild("ward.f", "5"), "ward.f returned 5: it is a plain function", "wrong-child"),
        (FieldNotShown("beds", "ward"), "the field ward of beds", "field-not-shown"),
        (JoinTooDeep("beds", 4), "on beds has children 5 levels below", "join-too-deep"),
        (JoinTooWide(7), "more than 7 live queries (max_join_queries)", "join-too-wide"),
        (UnmergedChild("beds", "NO_MERGE"), "beds, whose strategy is NO_MERGE", "unmerged-child"),
    ],
)
def test_each_error_explains_itself(error: JoinError, text: str, code: str) -> None:
    assert text in str(error)
    assert error.code == code
    assert isinstance(error, Explained)
