import hashlib

import pytest

from bolide.core.fingerprints import (
    MAX_DENIED,
    BadFingerprint,
    fingerprint,
    parse_denied,
    parse_fingerprint,
)

_ONE = hashlib.sha256(b"one").hexdigest()
_TWO = hashlib.sha256(b"two").hexdigest()


def test_a_fingerprint_is_the_sha_256_of_the_certificate() -> None:
    assert fingerprint(b"one") == _ONE


@pytest.mark.parametrize(
    "written", [_ONE, _ONE.upper(), ":".join(_ONE[i : i + 2] for i in range(0, 64, 2))]
)
def test_a_fingerprint_is_read_as_other_programs_show_it(written: str) -> None:
    assert parse_fingerprint(written) == _ONE


@pytest.mark.parametrize("written", ["", "ab", _ONE[:-1], f"{_ONE}0", f"g{_ONE[1:]}", f"{_ONE}\n"])
def test_what_is_no_fingerprint_is_refused(written: str) -> None:
    with pytest.raises(BadFingerprint, match="64 hexadecimal digits"):
        parse_fingerprint(written)


def test_a_list_holds_comments_and_empty_lines() -> None:
    text = f"# who left\n{_ONE}  # node n1, lost\r\n\n  {_TWO.upper()}\n"
    assert parse_denied(text) == {_ONE, _TWO}


def test_an_empty_list_denies_nobody() -> None:
    assert parse_denied("") == frozenset()


def test_a_list_with_a_slip_of_the_pen_is_refused_with_its_line() -> None:
    with pytest.raises(BadFingerprint, match=r"^Line 2: "):
        parse_denied(f"{_ONE}\n{_TWO[:-1]}\n")


def test_a_list_is_bounded() -> None:
    lines = [fingerprint(str(number).encode()) for number in range(MAX_DENIED + 1)]
    assert len(parse_denied("\n".join(lines[:-1]))) == MAX_DENIED
    with pytest.raises(BadFingerprint, match="more than"):
        parse_denied("\n".join(lines))
