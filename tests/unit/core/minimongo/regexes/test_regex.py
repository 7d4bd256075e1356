import pytest

from bolide.core.minimongo.errors import MatchTimeout, MinimongoError
from bolide.core.minimongo.regexes.regex import MAX_PATTERN_LENGTH, TimeLimit, regex_test
from bolide.core.values import Regex


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [
        ("b", "", "abc"),
        ("B", "i", "abc"),
        ("É", "i", "é"),
        ("b", "g", "abc"),
        ("^b$", "m", "a\nb\nc"),
        (r"^\d$", "", "7"),
        (r"^[\d-]+$", "", "7-8"),
        (r"^[\D]+$", "", "ab"),
        (r"^\w\W$", "", "a-"),
        (r"^[\W]$", "", "é"),
        (r"\bé", "", "aé"),
        (r"é\B", "", "é"),
        (r"a\b", "", "a b"),
        (r"\Ba", "", "ba"),
        (r"a\/b\.c", "", "a/b.c"),
        (r"\u00e9\x41\n\s\S\0", "", "éA\n x\0"),
        (r"(?<digit>\d)-\k<digit>", "", "3-3"),
        (r"(a)\1", "", "aa"),
        ("^a{2}$", "", "aa"),
        ("^a{2,}b{1,2}$", "", "aaabb"),
        ("a{b}", "", "a{b}"),
        ("a{,2}", "", "a{,2}"),
        ("(?:ab){e}", "", "ab{e}"),
        ("[[:alpha:]]", "", ":]"),
        (r"[\]\b]x", "", "]x"),
        (r"[\]\b]x", "", "\bx"),
        ("[^a]b", "", "bb"),
        ("a[^]b", "", "a\nb"),
        ("(?=a)(?!b)a(?<=a)(?<!b)", "", "a"),
        ("^(?:a|b)*$", "", ""),
        ("^b$", "m", "a\r\nb\u2028c"),
        ("^$", "m", "a\n"),
        (r"^\s+$", "", " \t\v\xa0\u3000\ufeff"),
        (r"^[\s-]+$", "", "-\xa0-"),
        (r"^[^\S]$", "", "\u2029"),
        (r"^\S$", "", "\x85"),
        (r"\ud83d\ude00", "", "a😀"),
        (r"^[\ud83d\ude00]$", "", "😀"),
        (r"^\v\x2e\0$", "", "\v.\0"),
        (r"^\W$", "i", "\u212a"),
        ("^[a-z]+$", "i", "IiKk"),
        ("^[^a-z]$", "i", "\u0130"),
        ("^[\u0130\u0131i]+$", "i", "iI\u0130\u0131"),
        ("^a#b c$", "", "a#b c"),
        ("^[^\\W]+$", "i", "Kiss"),
        ("^[a-z]+$", "i", "SsKk"),
        ("^[0-9]+$", "i", "42"),
        (r"^[\s\S]$", "i", "\u212a"),
        ("^[a&&b]+$", "", "a&b"),
        ("^[a||b]+$", "", "a|b"),
        ("^[a~~b]+$", "i", "a~B"),
        ("^[+--]+$", "", "+,-"),
        ("^[--/]+$", "", "-./"),
        ("^[a-c--/]+$", "", "b-./"),
        (r"^[\d-x]+$", "", "4-x"),
        (r"^[x-\d]+$", "i", "4-X"),
        ("^[:alph:]+$", "", ":alp"),
        ("^[.a.]+$", "", ".a"),
        ("^a+?b*?c{2}?$", "", "abcc"),
    ],
)
def test_patterns_of_javascript_match(pattern: str, flags: str, text: str) -> None:
    assert regex_test(pattern, flags)(text)


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [
        ("B", "", "abc"),
        ("a$", "", "a\n"),
        ("^b", "", "a\nb"),
        (r"\d", "", "٣"),
        (r"\w", "", "é"),
        (r"[\d]", "", "٣"),
        (r"\bé", "", "é"),
        ("(?:ab){e}", "", "ab"),
        ("[]", "", "]"),
        ("a.b", "", "a\u2028b"),
        (r"\s", "", "\x85"),
        (r"\x2e", "", "a"),
        (r"\w", "i", "\u017f"),
        (r"\W", "i", "k"),
        ("i", "i", "\u0130"),
        ("I", "i", "\u0131"),
        ("\u0131", "i", "i"),
        ("[a-z]", "i", "\u0130\u0131"),
        ("^[^a-z]$", "i", "I"),
        (r"^[\W]$", "i", "K"),
        ("s", "i", "\u017f"),
        ("[k]", "i", "\u212a"),
        ("^[a&&b]$", "", "c"),
        (r"^[\d-x]$", "", "d"),
    ],
)
def test_patterns_of_javascript_do_not_match(pattern: str, flags: str, text: str) -> None:
    assert not regex_test(pattern, flags)(text)


@pytest.mark.parametrize("value", [None, 7, b"a", ["a"], Regex("b"), Regex("a"), Regex("a", "im")])
def test_only_texts_match(value: object) -> None:
    assert not regex_test("a", "i")(value)


def test_a_regex_matches_itself() -> None:
    assert regex_test("a", "mi")(Regex("a", "im"))


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "[a",
        "a\\",
        "(?i)a",
        "(?P<n>a)",
        "(?R)",
        "(?<n>a)\\k<m>",
        "*",
        r"\1",
        r"\Aa",
        r"\p{L}",
        r"\u{41}",
        r"[\B]",
        r"[\x4]",
        r"\ud83d",
        r"[\ude00]",
        "[z-a]",
        "a)",
        "a{2}{3}",
        "a++",
        "a*+",
        "a?+",
        "a{2}+",
        "a??+",
        "a+??",
        "[a--b]",
        "(" * 490 + ")" * 490,
    ],
)
def test_what_cannot_be_compiled_is_refused_without_the_pattern(pattern: str) -> None:
    with pytest.raises(MinimongoError, match=r"^(A regular|Regular)") as raised:
        regex_test(pattern)
    assert len(pattern) < 5 or pattern not in str(raised.value)


def test_a_class_that_cannot_be_is_refused_with_every_flag() -> None:
    with pytest.raises(MinimongoError, match="cannot be compiled"):
        regex_test("[z-a]", "i")


@pytest.mark.parametrize("flag", ["s", "u", "x", "y", "iq"])
def test_other_flags_are_refused(flag: str) -> None:
    with pytest.raises(MinimongoError, match="flags g, i and m"):
        regex_test("a", flag)


def test_a_pattern_has_a_length_limit() -> None:
    assert regex_test("a" * MAX_PATTERN_LENGTH)("a" * MAX_PATTERN_LENGTH)
    with pytest.raises(MinimongoError, match="1000 characters"):
        regex_test("a" * (MAX_PATTERN_LENGTH + 1))


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 20 + "a" + ")+" * 20,
        "(" * 12 + "ab" + "){2,}" * 12,
        "(?:(?:a{30}){30}){30}",
        r"(?:\b){1000}",
        "[" + "abc" * 10 + "]{1000}",
        "a{" + "9" * 900 + "}",
    ],
)
def test_repetitions_have_a_limit(pattern: str) -> None:
    with pytest.raises(MinimongoError, match="nest fewer"):
        regex_test(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(" * 20 + "a" + ")*" * 20, "a"),
        ("(?:a{9}){9}", "a" * 81),
        ("^(?:(?:[a-z]+-)+[0-9]+ )+$", "ab-c-1 d-2 "),
    ],
)
def test_fewer_repetitions_run(pattern: str, text: str) -> None:
    assert regex_test(pattern)(text)


def test_a_search_has_a_time_limit() -> None:
    test = regex_test("^(a|aa)+$")
    with pytest.raises(MinimongoError, match=r"longer than 0\.1 s"):
        test("a" * 100 + "!")


def test_searches_may_share_a_time() -> None:
    left = [1.0, 0.0]
    limit, test = TimeLimit(lambda: left.pop(0)), regex_test("b")
    with limit:
        assert test("abc")
        with pytest.raises(MatchTimeout):
            test("abc")
        assert not test(5)
    assert test("abc")
    left.append(1e-6)
    with limit, pytest.raises(MatchTimeout):
        regex_test("^(a|aa)+$")("a" * 60 + "b")
