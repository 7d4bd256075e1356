"""What somebody typed, and the log in which it must not be."""

import io
import logging
from collections.abc import Generator

import pytest
import structlog

from bolide.server.logging.log import configure_log

MARK = "Mrs-Ada-Lovelace-MRN-1815"


@pytest.fixture
def log() -> Generator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_log(stream, level=logging.DEBUG)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
