"""`bolide feed publish` and `bolide doctor --redis`: what an operator reads."""

from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.redis_server import RedisCluster, RedisServer, tell
from tests.replica_set import ReplicaSet
from typer.testing import CliRunner

from bolide.ops.cli import app

OID = "5f0c5f0c5f0c5f0c5f0c5f0c"
OID_TEXT = f'{{"$type":"oid","$value":"{OID}"}}'


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOLIDE_REDIS", raising=False)


def outcome(*words: str, stdin: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*words], input=stdin)
    return result.exit_code, result.stdout, result.stderr


def entries(server: RedisServer, stream: str = "bolide:hints") -> list[list[bytes]]:
    found: list[list[bytes]] = [fields for _, fields in tell(server, "XRANGE", stream, "-", "+")]
    return found


def ids(server: RedisServer) -> list[str]:
    return [fields[3].decode() for fields in entries(server)]


def test_several_ids_are_published(redis_server: RedisServer) -> None:
    words = ("feed", "publish", "patients", "p01", "7", '"7"', OID_TEXT)
    assert outcome(*words, "--redis", redis_server.url) == (0, "4 hints published.\n", "")
    assert entries(redis_server)[0] == [b"collection", b"patients", b"id", b'"p01"']
    assert ids(redis_server)[1:] == ["7", '"7"', OID_TEXT]


def test_ids_are_read_from_standard_input(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOLIDE_REDIS", redis_server.url)
    monkeypatch.setenv("BOLIDE_REDIS_STREAM", "other")
    many = "".join(f"p{number}\r\n\n" for number in range(2_500))
    assert outcome("feed", "publish", "patients", "-", stdin=many)[:2] == (
        0,
        "2500 hints published.\n",
    )
    assert [fields[3] for fields in entries(redis_server, "other")] == [
        f'"p{number}"'.encode() for number in range(2_500)
    ]


def test_object_ids_are_written_by_their_digits(redis_server: RedisServer) -> None:
    words = ("feed", "publish", "patients", "--oid", "--redis", redis_server.url)
    assert outcome(*words, OID) == (0, "1 hint published.\n", "")
    assert ids(redis_server) == [OID_TEXT]
    status, _, err = outcome(*words, OID, "Ada Lovelace")
    assert (status, err) == (
        1,
        "bolide: Id 2 is no ObjectId: write its 24 hexadecimal digits.\n",
    )


def test_what_is_no_hint_is_told_without_its_value(redis_server: RedisServer) -> None:
    words = ("feed", "publish", "--redis", redis_server.url)
    for collection, id, says in (
        ("patients", '{"Ada', "Id 1 begins like JSON and is none"),
        ("patients", "[1]", "With id 1 the hint is malformed."),
        ("pati$ents", "Ada", "With id 1 the hint is malformed."),
        ("patients", "Ada" * 2_000, "With id 1 the hint is too large."),
    ):
        status, out, err = outcome(*words, collection, id)
        assert (status, out) == (1, "")
        assert says in err
        assert "Ada" not in err
        assert err.count("\n") == 1
    lines = "".join(f"{number}\n" for number in range(1_000)) + "[1]\n"
    _, _, err = outcome(*words, "patients", "-", stdin=lines)
    assert "With id 1001 the hint is malformed." in err
    assert "1000 hints were published before it." in err


def test_without_a_redis_it_says_how_there_is_one() -> None:
    status, _, err = outcome("feed", "publish", "patients", "p01")
    assert (status, err) == (
        2,
        "bolide: redis is not set, but must be set: --redis URL, or BOLIDE_REDIS.\n",
    )


def test_a_redis_that_cannot_be_used_is_told_in_one_line(redis_server: RedisServer) -> None:
    place = f"127.0.0.1:{redis_server.port}"
    for url, status, says in (
        (f"redis://:hunter2@{place}", 2, "one without a password"),
        ("redis://:hunter2@cache.example", 2, "rediss:// (TLS)"),
        (f"redis+cluster://{place}", 2, "it is in no cluster"),
    ):
        found, _, err = outcome("feed", "publish", "patients", "p01", "--redis", url)
        assert (found, err.count("\n")) == (status, 1)
        assert says in err
        assert "hunter2" not in err
    with RedisServer("--replicaof", "127.0.0.1", str(redis_server.port)) as replica:
        status, _, err = outcome("feed", "publish", "patients", "p01", "--redis", replica.url)
        assert (status, err) == (
            1,
            "bolide: Redis is a read-only replica. It is that of BOLIDE_REDIS or --redis,"
            f" 127.0.0.1:{replica.port}.\n",
        )
    redis_server.fill()
    status, _, err = outcome("feed", "publish", "patients", "p01", "--redis", redis_server.url)
    assert (status, "Redis is full: raise its maxmemory" in err) == (1, True)
    redis_server.kill()
    status, _, err = outcome("feed", "publish", "patients", "p01", "--redis", redis_server.url)
    assert (status, err) == (
        1,
        "bolide: Redis has no connection. It is that of BOLIDE_REDIS or --redis,"
        f" 127.0.0.1:{redis_server.port}.\n",
    )


def test_a_mongod_is_no_redis() -> None:
    with ReplicaSet.standalone() as mongod:
        for path in ("", "/1"):
            url = f"redis://ada:secret@{mongod.address}{path}"
            status, _, err = outcome("feed", "publish", "patients", "p01", "--redis", url)
            assert (status, "does not speak Redis" in err) == (1, True)
            assert mongod.address in err
            assert "secret" not in err
        url = f"redis://{mongod.address}"
        _, _, err = outcome("feed", "publish", "patients", "p01", "--redis", url)
        assert "does not speak Redis" in err


def test_a_writer_needs_no_other_right_than_to_write(redis_server: RedisServer) -> None:
    tell(
        redis_server, "ACL", "SETUSER", "lab", "on", ">pw", "resetkeys", "~bolide:hints",
        "resetchannels", "-@all", "+xadd",
    )  # fmt: skip
    url = f"redis://lab:pw@127.0.0.1:{redis_server.port}"
    assert outcome("feed", "publish", "patients", "p01", "--redis", url)[0] == 0


def test_hints_find_their_way_into_a_cluster() -> None:
    with RedisCluster() as cluster:
        words = ("feed", "publish", "patients", "p01", "--redis", cluster.url)
        assert outcome(*words) == (0, "1 hint published.\n", "")
        assert ids(cluster.owner_of("bolide:hints")) == ['"p01"']


# doctor


def test_doctor_tells_how_redis_is(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOLIDE_REDIS", redis_server.url)
    status, out, _ = outcome("doctor", "--redis")
    assert status == 0
    report = out.partition("\nRedis\n")[2]
    for says in ("single, no TLS", f"127.0.0.1:{redis_server.port}", "7.", " ms", "not there yet"):
        assert says in report
    tell(redis_server, "XADD", "bolide:hints", "*", "collection", "a", "id", "1")
    tell(redis_server, "CONFIG", "SET", "maxmemory", "100mb")
    tell(redis_server, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    report = outcome("doctor", "--redis")[1].partition("\nRedis\n")[2]
    for says in ("bolide:hints, there", "of 104.9 MB", "may evict keys (allkeys-lru)"):
        assert says in report
    assert tell(redis_server, "KEYS", "*doctor*") == []


def test_doctor_hides_what_is_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    files, ca = authority.issue(), str(authority.file())
    with RedisServer(password="hunter2", tls=(files.cert, files.key, ca)) as server:
        monkeypatch.setenv("BOLIDE_REDIS", server.url)
        status, out, err = outcome("doctor", "--redis")
        assert (status, err) == (0, "")
        assert "single, TLS" in out
        assert "hunter2" not in out


def test_doctor_says_what_is_wrong(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "The setting redis names none." in outcome("doctor", "--redis")[1]
    monkeypatch.setenv("BOLIDE_REDIS", f"unix://{redis_server.socket}")
    assert "socket" in outcome("doctor", "--redis")[1]
    redis_server.fill()
    status, out, err = outcome("doctor", "--redis")
    assert (status, "memory" in out) == (1, True)
    assert "Redis is full: raise its maxmemory" in err
    assert "Nodes go on without it" in err
    monkeypatch.setenv("BOLIDE_REDIS", "redis://cache.example:hunter2")
    status, out, err = outcome("doctor")
    assert status == 2
    assert "hunter2" not in out + err
