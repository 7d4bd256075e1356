"""What can be a job, and what is said of what cannot."""

from functools import partial

# What a developer may write by mistake.
from typing import Any

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server import App


async def clean_up() -> None: ...


def test_a_job_is_called_by_its_function_or_its_name() -> None:
    app = App()
    assert app.every(minutes=5)(clean_up) is clean_up
    assert app.cron("0 2 * * *", timezone="Europe/Berlin", name="nightly")(clean_up) is clean_up
    assert [job.name for job in app.jobs] == [f"{__name__}.clean_up", "nightly"]
    assert [job.schedule.text for job in app.jobs] == [
        "every 0:05:00", "cron 0 2 * * * Europe/Berlin",
    ]  # fmt: skip
    assert len(app.jobs) == 2


def test_a_name_is_taken_once() -> None:
    app = App()
    app.every(minutes=5)(clean_up)
    with pytest.raises(ConfigurationError, match="another has the name already; give one of them"):
        app.every(hours=1)(clean_up)


@pytest.mark.parametrize("name", ["", 5])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="The name of a job is"):
        App().every(minutes=5, name=name)(clean_up)


def test_a_function_that_is_not_async_is_refused() -> None:
    # Only the types would say so.
    plain: Any = lambda: None  # noqa: E731
    with pytest.raises(TypeError, match=r"handler of the job .* is not a coroutine function"):
        App().every(minutes=5)(plain)


def test_a_function_with_arguments_is_refused() -> None:
    async def handler(ctx: object) -> None: ...

    wrong: Any = handler
    with pytest.raises(TypeError, match="takes arguments, but a job is given none"):
        App().every(minutes=5)(wrong)


def test_arguments_with_a_default_are_fine() -> None:
    async def handler(days: int = 30) -> None: ...

    app = App()
    app.every(minutes=5)(handler)
    app.every(minutes=5, name="of a week")(partial(handler, days=7))
    assert len(app.jobs) == 2


def test_who_forgets_the_parentheses_or_the_unit_is_told_what_to_write() -> None:
    app: Any = App()
    with pytest.raises(TypeError, match=r"Write @app\.every\(minutes=5\): a period with its unit"):
        app.every(clean_up)
    with pytest.raises(TypeError, match=r"Write @app\.every\(minutes=5\)"):
        app.every(5)
    with pytest.raises(TypeError, match=r'Write @app\.cron\("30 2 \* \* \*"\), not @app\.cron\.'):
        app.cron(clean_up)
