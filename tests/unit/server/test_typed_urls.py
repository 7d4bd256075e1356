"""Typed URLs: a slip of the pen is shown, a secret is not."""

import pytest

from bolide.server.typed_urls import shown_as_typed


@pytest.mark.parametrize(
    "url",
    ["", "9311", "127.0.0.1:9311", "lab.db", "sqlite://lab.db", "mongodb://one:27017/ward", "nix:"],
)
def test_what_holds_no_secret_is_repeated(url: str) -> None:
    assert shown_as_typed(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://ada:secret@one/ward",
        "http://ada:secret",
        "http://[secret",
        "http://one/?token=secret",
        "http://one/#secret",
        "host=one password=secret",
        ["secret"],
        None,
    ],
)
def test_what_may_hold_a_secret_is_hidden(url: object) -> None:
    assert shown_as_typed(url) == "(hidden)"
