"""The log: JSON lines, and never the text of an exception."""

import asyncio
import gc
import io
import json
import logging
from collections.abc import Generator
from typing import Any

import pytest
import structlog

from bolide.server.logging.log import configure_log, describe_failure, shows_texts
from bolide.server.methods.errors import log_failure

SECRET = "Aunt Emmy, HIV+"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    configure_log(io.StringIO())
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    patient = SECRET
    try:
        raise KeyError(patient)
    except KeyError as error:
        raise ValueError(f"unknown {patient}") from error


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_records_are_json_lines() -> None:
    stream = io.StringIO()
    configure_log(stream)
    structlog.get_logger().bind(session="s1").info("moved", beds=2)
    (record,) = lines(stream)
    assert record.pop("at").endswith("Z")
    assert record == {"event": "moved", "level": "info", "session": "s1", "beds": 2}


def test_less_than_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure_log(stream, level=logging.WARNING)
    structlog.get_logger().info("moved")
    logging.getLogger("elsewhere").info("moved")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("how", ["log_failure", "exception", "exc_info", "tuple", "library"])
def test_no_way_of_logging_an_exception_shows_its_text(how: str) -> None:
    stream = io.StringIO()
    configure_log(stream)
    log = structlog.get_logger()
    try:
        fail()
    except ValueError as error:
        if how == "log_failure":
            log_failure(log, error, method="move")
        elif how == "exception":
            log.exception("failed", stack_info=True)
        elif how == "exc_info":
            log.error("failed", exc_info=error)
        elif how == "tuple":
            log.error("failed", exc_info=(type(error), error, error.__traceback__))
        else:
            logging.getLogger("elsewhere").exception("failed for %s", SECRET, stack_info=True)
    assert "Emmy" not in stream.getvalue()
    (record,) = lines(stream)
    assert [one["type"] for one in record["failure"]] == [
        "builtins.ValueError",
        "builtins.KeyError",
    ]
    assert record["failure"][0]["at"][-1].endswith(" in fail")


def test_a_record_without_exception_describes_none() -> None:
    stream = io.StringIO()
    configure_log(stream)
    structlog.get_logger().error("failed", exc_info=True)
    assert "failure" not in lines(stream)[0]


def test_messages_of_libraries_come_without_their_arguments() -> None:
    stream = io.StringIO()
    configure_log(stream)
    logging.getLogger("elsewhere").warning("bad frame %r\nfrom %s", SECRET, SECRET)
    (record,) = lines(stream)
    assert record["event"] == "bad frame %r"
    assert record["logger"] == "elsewhere"
    assert record["level"] == "warning"


async def test_an_exception_that_nobody_fetched_is_logged_without_text() -> None:
    stream = io.StringIO()
    configure_log(stream)

    async def forgotten() -> None:
        fail()

    task = asyncio.create_task(forgotten())
    await asyncio.wait([task])
    del task
    gc.collect()
    assert "Emmy" not in stream.getvalue()
    (record,) = lines(stream)
    assert record["event"] == "Task exception was never retrieved"
    assert record["failure"][0]["type"] == "builtins.ValueError"


def test_insecure_dev_shows_texts_on_a_terminal() -> None:
    stream = Terminal()
    configure_log(stream, insecure_dev=True)
    assert shows_texts()
    try:
        fail()
    except ValueError as error:
        log_failure(structlog.get_logger(), error, method="move")
    logging.getLogger("elsewhere").warning("bad frame %r", SECRET)
    assert stream.getvalue().count("Emmy") >= 2
    assert "\nTraceback (most recent call last):\n" in stream.getvalue()


@pytest.mark.parametrize(("stream", "insecure_dev"), [(Terminal(), False), (io.StringIO(), True)])
def test_both_are_needed(stream: io.StringIO, insecure_dev: bool) -> None:
    configure_log(stream, insecure_dev=insecure_dev)
    assert not shows_texts()
    assert list(describe_failure(ValueError(SECRET))) == ["failure"]
    logging.getLogger("elsewhere").warning("bad frame %r", SECRET)
    structlog.get_logger().error("failed", exc_info=ValueError(SECRET))
    assert "failed" in stream.getvalue()
    assert "Emmy" not in stream.getvalue()


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log()
    structlog.get_logger().info("moved")
    assert json.loads(capsys.readouterr().err)["event"] == "moved"


def test_a_stream_that_takes_nothing_raises_into_nobody() -> None:
    class Gone(io.StringIO):
        """A terminal that was closed."""

        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

        def flush(self) -> None:
            raise OSError(5, "Input/output error")

    configure_log(Gone())
    structlog.get_logger().info("session closed")
