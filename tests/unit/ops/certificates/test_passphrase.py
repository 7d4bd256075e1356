from collections.abc import Callable
from pathlib import Path

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.certificates.passphrase import MIN_LENGTH, VARIABLE, new_passphrase, passphrase

_GOOD = "correct horse battery staple"


def _typing(*answers: str) -> Callable[[str], str]:
    left = list(answers)
    return lambda prompt: left.pop(0)


def _nobody(prompt: str) -> str:
    raise AssertionError("somebody was asked")


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "passphrase"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_new_one_is_typed_twice() -> None:
    asked = new_passphrase(None, {}, is_terminal=True, ask=_typing(_GOOD, _GOOD))
    assert asked == _GOOD.encode()


def test_a_new_one_that_is_typed_differently_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="typed twice the same"):
        new_passphrase(None, {}, is_terminal=True, ask=_typing(_GOOD, _GOOD + "s"))


@pytest.mark.parametrize("short", ["", "x" * (MIN_LENGTH - 1), "x" * 100, "abababababababab"])
def test_a_new_one_that_is_empty_or_short_is_refused_however_it_comes(
    tmp_path: Path, short: str
) -> None:
    file = _file(tmp_path, short)
    gives: list[Callable[[], bytes]] = [
        lambda: new_passphrase(None, {}, is_terminal=True, ask=_typing(short, short)),
        lambda: new_passphrase(None, {VARIABLE: short}, is_terminal=False),
        lambda: new_passphrase(file, {}, is_terminal=False),
    ]
    for give in gives:
        with pytest.raises(ConfigurationError, match=f"{MIN_LENGTH} characters or more") as raised:
            give()
        assert not short or short not in str(raised.value)


def test_one_that_exists_is_asked_for_once() -> None:
    assert passphrase(None, {}, is_terminal=True, ask=_typing("x")) == b"x"


@pytest.mark.parametrize("ask", [passphrase, new_passphrase])
def test_a_file_wins_over_the_variable_and_both_over_asking(
    tmp_path: Path, ask: Callable[..., bytes]
) -> None:
    environment = {VARIABLE: "of the environment"}
    file = _file(tmp_path, "of the first line\nand not of the second\n")
    assert ask(file, environment, is_terminal=True, ask=_nobody) == b"of the first line"
    assert ask(None, environment, is_terminal=True, ask=_nobody) == b"of the environment"


@pytest.mark.parametrize("ask", [passphrase, new_passphrase])
def test_where_nobody_can_be_asked_the_other_ways_are_named(ask: Callable[..., bytes]) -> None:
    with pytest.raises(ConfigurationError, match=f"--passphrase-file or {VARIABLE}"):
        ask(None, {}, is_terminal=False, ask=_nobody)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="chmod o-rwx"):
        passphrase(_file(tmp_path, _GOOD, 0o644), {}, is_terminal=False)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        passphrase(tmp_path / "nothing", {}, is_terminal=False)
    file = tmp_path / "binary"
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="UTF-8"):
        passphrase(file, {}, is_terminal=False)
