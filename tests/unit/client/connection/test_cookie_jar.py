"""The balancer's cookie: for the origin that sent it over TLS, and for nobody else."""

import pytest

from bolide.client.connection.address import parse_address
from bolide.client.connection.cookie_jar import NAME, CookieJar

WARD = parse_address("https://ward.example.org")
SENT = f"{NAME}=sealed-1; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=100"


def jar_with(*set_cookies: str, url: str = "https://ward.example.org") -> CookieJar:
    jar = CookieJar()
    jar.take(parse_address(url), set_cookies, 0.0)
    return jar


def cookie_of(jar: CookieJar, url: str = "https://ward.example.org", now: float = 1.0) -> str:
    return jar.headers(parse_address(url), {}, now).get("Cookie", "")


def test_it_comes_back_to_its_origin_whatever_the_path() -> None:
    jar = jar_with(SENT)
    for url in (
        "https://ward.example.org",
        "wss://WARD.example.org:443/app/websocket?a=b",
        "https://nurse:secret@ward.example.org/",
    ):
        assert cookie_of(jar, url) == f"{NAME}=sealed-1"


@pytest.mark.parametrize(
    "url",
    [
        "https://ward.example.org:444",
        "https://other.example.org",
        "https://example.org",
        "http://ward.example.org",
        "ws://ward.example.org:443",
    ],
)
def test_it_goes_to_no_other_origin(url: str) -> None:
    assert cookie_of(jar_with(SENT), url) == ""


@pytest.mark.parametrize(
    "text",
    [
        f"{NAME}=a; Path=/",
        f"{NAME}=a; Secure",
        f"{NAME}=a; Path=/app; Secure",
        f"{NAME}=a; Path=/; Secure; Domain=example.org",
        f"{NAME}=a b; Path=/; Secure",
        f"{NAME}=a\x7f; Path=/; Secure",
        f'{NAME}="a"; Path=/; Secure',
        f"{NAME}={'a' * 4097}; Path=/; Secure",
        f"{NAME}=a; Path=/; Secure; Max-Age=-1",
        f"{NAME}=a; Path=/; Secure; Max-Age=soon",
        f"{NAME}=; Path=/; Secure",
        "session=a; Path=/; Secure",
        NAME,
        "",
    ],
)
def test_what_a_browser_would_refuse_is_not_kept(text: str) -> None:
    assert cookie_of(jar_with(text)) == ""


def test_without_tls_nothing_is_kept() -> None:
    jar = jar_with(SENT, url="http://ward.example.org:443")
    assert cookie_of(jar) == ""


def test_it_ends_with_its_age_or_with_the_client() -> None:
    assert cookie_of(jar_with(SENT), now=99.9)
    assert cookie_of(jar_with(SENT), now=100.0) == ""
    assert cookie_of(jar_with(f"{NAME}=a; Path=/; Secure"), now=1e9) == f"{NAME}=a"


def test_a_new_one_takes_the_place_of_the_old_one_and_none_takes_it_away() -> None:
    jar = jar_with(SENT)
    jar.take(WARD, ["a=b; Path=/", f"{NAME}=2; path=/; secure; max-age=5"], 1.0)
    assert cookie_of(jar) == f"{NAME}=2"
    jar.take(WARD, [], 2.0)
    assert cookie_of(jar) == f"{NAME}=2"
    jar.take(WARD, [f"{NAME}=2; Path=/; Secure; Max-Age=0"], 3.0)
    assert cookie_of(jar) == ""


def test_cookies_and_headers_of_the_program_stay() -> None:
    jar = jar_with(SENT)
    given = {"X-Ward": "7", "cookie": "a=b"}
    expected = {"X-Ward": "7", "cookie": f"a=b; {NAME}=sealed-1"}
    assert jar.headers(WARD, given, 1.0) == expected
    assert given["cookie"] == "a=b"
    own = {"Cookie": f"{NAME}=mine"}
    assert jar.headers(WARD, own, 1.0) == own


def test_it_is_shown_nowhere() -> None:
    jar = jar_with(SENT)
    assert "sealed-1" not in f"{jar!r} {jar._kept!r}"  # pyright: ignore[reportPrivateUsage]
