import pytest
import typer

from bolide.core.errors import ConfigurationError, StateError
from bolide.ops.terminal.failing import FAILED, MISUSED, fail, told


class Mistyped(ValueError):
    pass


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError("port", "x", "a number"), MISUSED),
        (Mistyped("no such word"), MISUSED),
        (StateError("It is not open."), FAILED),
        (PermissionError(13, "Permission denied", "Procfile"), FAILED),
    ],
)
def test_what_is_expected_is_one_line_and_a_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, told(Mistyped):
        raise error
    assert caught.value.exit_code == status
    assert capsys.readouterr().err == f"bolide: {error}\n"


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="ours"), told():
        raise ValueError("ours")


def test_a_text_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        fail("red \x1b[31m", FAILED)
    assert capsys.readouterr().err == "bolide: red \\u001b[31m\n"
