"""Redis URLs: the usual ones are read, unsafe ones refused, and none is repeated."""

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server.redis.address import RedisAddress, parse_redis_url


def refusal(url: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_redis_url(url)
    assert str(caught.value).startswith("redis is '(hidden)', but must be ")
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", RedisAddress(kind="single", hosts=(("localhost", 6379),))),
        (
            "REDIS://127.0.0.1:7000/3",
            RedisAddress(kind="single", hosts=(("127.0.0.1", 7000),), database=3),
        ),
        ("redis://[::1]", RedisAddress(kind="single", hosts=(("::1", 6379),))),
        ("redis://[::1]:7000/", RedisAddress(kind="single", hosts=(("::1", 7000),))),
        (
            "redis://app:hunter%40%2F2@localhost",
            RedisAddress(
                kind="single", hosts=(("localhost", 6379),), user="app", password="hunter@/2"
            ),
        ),
        (
            "redis://:hunter@2@localhost",
            RedisAddress(kind="single", hosts=(("localhost", 6379),), password="hunter@2"),
        ),
        (
            "rediss://:hunter2@cache.example:6380/1?ssl_ca_certs=/etc/ca.pem",
            RedisAddress(
                kind="single",
                hosts=(("cache.example", 6380),),
                database=1,
                password="hunter2",
                uses_tls=True,
                tls_files={"ssl_ca_certs": "/etc/ca.pem"},
            ),
        ),
        (
            "unix://:hunter2@/run/redis%20a.sock?db=2",
            RedisAddress(
                kind="single", hosts=(), socket="/run/redis a.sock", database=2, password="hunter2"
            ),
        ),
        (
            "redis+sentinel://:pw@localhost,127.0.0.1:7/mymaster/4?sentinel_password=spw",
            RedisAddress(
                kind="sentinel",
                hosts=(("localhost", 26379), ("127.0.0.1", 7)),
                service="mymaster",
                database=4,
                password="pw",
                sentinel_password="spw",
            ),
        ),
        (
            "rediss+cluster://app:pw@a.example,b.example:7001",
            RedisAddress(
                kind="cluster",
                hosts=(("a.example", 6379), ("b.example", 7001)),
                user="app",
                password="pw",
                uses_tls=True,
            ),
        ),
    ],
)
def test_the_usual_urls_are_read(url: str, address: RedisAddress) -> None:
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "redis://user:password@host"),
        ("http://localhost", "redis://user:password@host"),
        ("redis:localhost", "redis://user:password@host"),
        ("redis://:hunter2@localhost#1", "redis://user:password@host"),
        ("redis://", "redis://user:password@host"),
        ("redis://::1", "redis://user:password@host"),
        ("redis://localhost:hunter2", "ports from 1 to 65535"),
        ("redis://localhost:0", "ports from 1 to 65535"),
        ("redis://localhost/hunter2", "number of a database"),
        ("redis://localhost,127.0.0.1", "redis+sentinel:// or redis+cluster://"),
        ("redis://localhost?password=hunter2", "without anything after a question mark"),
        ("rediss://localhost?ssl_cert_reqs=none", "ssl_ca_certs, ssl_certfile, ssl_keyfile"),
        ("rediss://localhost?hunter2", "ssl_ca_certs, ssl_certfile, ssl_keyfile"),
        ("redis+sentinel://localhost", "service's name"),
        ("redis+cluster://localhost/1", "only number 0"),
        ("unix://run/redis.sock", "unix:///run/redis.sock"),
        ("unix://", "unix:///run/redis.sock"),
    ],
)
def test_what_is_no_url_is_refused_with_the_form_that_is(url: str, says: str) -> None:
    assert says in refusal(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:hunter2@cache.example", "rediss:// (TLS)"),
        ("redis+sentinel://:hunter2@localhost,10.0.0.1/m", "rediss+sentinel:// (TLS)"),
        ("redis+cluster://:hunter2@10.0.0.1", "rediss+cluster:// (TLS)"),
        ("rediss://cache.example", "a password"),
        ("rediss://app@cache.example", "a password"),
    ],
)
def test_another_machine_needs_tls_and_a_password(url: str, says: str) -> None:
    text = refusal(url)
    assert says in text
    assert "BOLIDE_INSECURE_REDIS=1" in text
    assert parse_redis_url(url, insecure=True).is_insecure


def test_nothing_secret_is_shown() -> None:
    address = parse_redis_url(
        "redis+sentinel://user1:hunter2@localhost/m?sentinel_username=user2&sentinel_password=pw3"
    )
    for secret in ("user1", "hunter2", "user2", "pw3"):
        assert secret not in repr(address)
