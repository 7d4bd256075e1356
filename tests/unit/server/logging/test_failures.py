"""Failures: where and of what type, never what was said."""

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from bolide.core.errors import BolideError, ConfigurationError
from bolide.server.access.invocation import UndecidedAccess
from bolide.server.logging.failures import failure_record

SECRET = "Aunt Emmy, HIV+"


def fail(note: str) -> None:
    raise ValueError(f"cannot read {note}")


def fail_from_cause(note: str) -> None:
    try:
        fail(note)
    except ValueError as error:
        raise RuntimeError(note) from error


def fail_while_handling(note: str) -> None:
    try:
        fail(note)
    except ValueError:
        raise KeyError(note)  # noqa: B904


def fail_hiding_the_cause(note: str) -> None:
    try:
        fail(note)
    except ValueError:
        raise KeyError(note) from None


def recorded(function: Any) -> list[dict[str, Any]]:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(SECRET)
    record = failure_record(caught.value)
    assert SECRET not in str(record)
    return record


def test_a_record_names_type_file_line_and_function() -> None:
    (record,) = recorded(fail)
    assert record["type"] == "builtins.ValueError"
    assert record["at"][-1] == f"{__file__}:{fail.__code__.co_firstlineno + 1} in fail"


@pytest.mark.parametrize("function", [fail_from_cause, fail_while_handling])
def test_causes_follow_their_error(function: Any) -> None:
    records = recorded(function)
    assert [record["type"] for record in records][1] == "builtins.ValueError"
    assert records[1]["at"][-1].endswith(" in fail")


def test_a_cause_that_was_hidden_stays_hidden() -> None:
    assert len(recorded(fail_hiding_the_cause)) == 1


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert [record["type"] for record in failure_record(first)] == [
        "builtins.ValueError",
        "builtins.KeyError",
    ]


def test_a_long_chain_is_cut() -> None:
    error: Exception = ValueError()
    for _ in range(20):
        error, error.__cause__ = ValueError(), error
        outer = ValueError()
        outer.__cause__ = error
        error = outer
    assert len(failure_record(error)) == 10


def test_the_parts_of_a_group_are_described_too() -> None:
    def fail_together(note: str) -> None:
        raise ExceptionGroup(note, [ValueError(note), KeyError(note)])

    (record,) = recorded(fail_together)
    assert [part[0]["type"] for part in record["parts"]] == [
        "builtins.ValueError",
        "builtins.KeyError",
    ]


def test_our_own_errors_have_a_code_and_no_text() -> None:
    (record,) = failure_record(ConfigurationError("BOLIDE_STORE", SECRET, "a URL"))
    assert record == {
        "type": "bolide.core.errors.ConfigurationError",
        "at": [],
        "code": ConfigurationError.code,
    }
    assert failure_record(BolideError())[0]["code"] == "bolide-error"


def test_a_mistake_of_the_apps_code_is_explained() -> None:
    (record,) = failure_record(UndecidedAccess("method m", "read beds"))
    assert record["explanation"].startswith("The method m read beds without a decision")


def test_errors_of_mongodb_have_their_number_and_no_text() -> None:
    (record,) = failure_record(OperationFailure(SECRET, 175, {"errmsg": SECRET}))
    assert record == {"type": "pymongo.errors.OperationFailure", "at": [], "code": 175}


def test_numbers_of_other_errors_are_theirs_to_keep() -> None:
    error = ValueError(SECRET)
    error.code = 4711  # type: ignore[attr-defined]
    assert "code" not in failure_record(error)[0]
