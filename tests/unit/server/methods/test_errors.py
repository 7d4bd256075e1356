"""Errors: clients get what was meant for them, logs get no text."""

from typing import Any

import pytest
import structlog
from pymongo.errors import AutoReconnect, DuplicateKeyError, ServerSelectionTimeoutError
from structlog.testing import capture_logs

from bolide.core.ddp.messages import WireError
from bolide.core.errors import AuthError, ConfigurationError, MethodError, RateLimited
from bolide.server.access.invocation import UndecidedAccess
from bolide.server.methods.errors import log_failure, wire_error

SECRET = "Aunt Emmy, HIV+"
NO_DATABASE = WireError(
    "database-unavailable", "The database cannot be reached now. Try again a little later."
)


@pytest.mark.parametrize(
    ("error", "wire"),
    [
        (
            MethodError("no-bed", "No bed.", {"ward": 7}),
            WireError("no-bed", "No bed.", {"ward": 7}),
        ),
        (MethodError(404), WireError(404)),
        (AuthError(), WireError(403, "Not allowed.")),
        (
            RateLimited(1.5),
            WireError(
                "too-many-requests", "Too many requests; try again in 1.5 s.", {"timeToReset": 1500}
            ),
        ),
        (ServerSelectionTimeoutError(SECRET), NO_DATABASE),
        (AutoReconnect(SECRET), NO_DATABASE),
        (DuplicateKeyError(SECRET), WireError(500, "Internal server error")),
        (ValueError(SECRET), WireError(500, "Internal server error")),
        (UndecidedAccess("method m", "read beds"), WireError(500, "Internal server error")),
        (ConfigurationError("a", SECRET, "b"), WireError(500, "Internal server error")),
        (KeyboardInterrupt(), WireError(500, "Internal server error")),
    ],
)
def test_only_what_was_meant_for_clients_reaches_them(
    error: BaseException, wire: WireError
) -> None:
    assert wire_error(error) == wire


def logged(error: BaseException) -> dict[str, Any]:
    with capture_logs() as records:
        log_failure(structlog.get_logger(), error, method="move")
    (record,) = records
    return dict(record)


def test_a_failure_is_logged_without_its_text() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        record = logged(error)
    assert SECRET not in str(record)
    assert record["log_level"] == "error"
    assert record["method"] == "move"
    assert record["failure"][0]["type"] == "builtins.ValueError"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (MethodError(404, SECRET), 404),
        (MethodError("no-bed", SECRET, [SECRET]), "no-bed"),
        (MethodError("ward.noBed/v2"), "ward.noBed/v2"),
        (MethodError(SECRET), "?"),
        (MethodError("Emmy-1815"), "?"),
        (MethodError("a" * 32), "?"),
        (MethodError("a-" * 40 + "a"), "?"),
        (MethodError(18_151_815), "?"),
        (MethodError([SECRET]), "?"),  # type: ignore[arg-type] # pyright: ignore
        (AuthError(), 403),
        (RateLimited(1), "too-many-requests"),
    ],
)
def test_an_answer_meant_for_the_client_is_one_line_without_its_text(
    error: Any, name: str | int
) -> None:
    assert logged(error) == {
        "event": "refused",
        "log_level": "info",
        "code": error.code,
        "error": name,
        "method": "move",
    }
