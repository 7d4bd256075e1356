"""Explained errors: Bolide's own, with texts that may be logged."""

from bolide.core.errors import ConfigurationError, StateError
from bolide.server.logging.explained import Explained, NeedsMongoDB, NotBuilt, NotRunning


def test_an_app_that_does_not_run_says_how_to_run_it() -> None:
    error = NotRunning()
    assert isinstance(error, Explained)
    assert isinstance(error, StateError)
    assert "is not running" in str(error)
    assert "bolide run" in str(error)


def test_an_option_that_is_not_built_is_named() -> None:
    error = NotBuilt("access of app.collection('patients')", "ward")
    assert isinstance(error, Explained)
    assert isinstance(error, ConfigurationError)
    assert str(error) == (
        "access of app.collection('patients') is 'ward', but must be left out: it is not built yet."
    )


def test_what_needs_mongodb_says_so() -> None:
    error = NeedsMongoDB("app.live_aggregate on beds")
    assert isinstance(error, Explained)
    assert str(error).startswith("app.live_aggregate on beds needs MongoDB:")
