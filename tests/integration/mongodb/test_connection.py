"""What an operator hears when a database cannot be used: one line that says what to do."""

import asyncio
import gc
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from dns import asyncresolver, message, rcode, rdatatype, rrset
from pymongo import MongoClient
from structlog.testing import capture_logs
from tests.certificates import Authority
from tests.driver_sockets import MAY_BE_LEFT
from tests.integration.mongodb.posing import posing
from tests.replica_set import ReplicaSet

from bolide.core.errors import ConfigurationError, StateError
from bolide.server.clock import SystemClock
from bolide.server.stores.base import Query
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.connecting import connection
from bolide.server.stores.mongo.connecting.connection import MAX_CLOCK_DIFFERENCE_S
from bolide.server.stores.mongo.connecting.members import remote_member
from bolide.server.testing import FakeClock


async def refusal(url: str, **options: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await MongoStore(url, **options).open()  # type: ignore[arg-type]
    text = str(caught.value)
    assert "secret" not in text
    assert "\n" not in text
    return text


# The driver forgets the sockets of connections that come to nothing.
pytestmark = MAY_BE_LEFT


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(connection, "_SELECTION_TIMEOUT_MS", 1000)
    yield
    gc.collect()


@pytest.fixture
def standalone() -> Iterator[str]:
    """A mongod that is in no replica set."""
    with ReplicaSet.standalone() as member:
        yield f"mongodb://{member.address}/ward"


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://ada:secret@/ward",
        "mongodb://ada:secret@localhost:port/ward",
        "mongodb://ada:secret@localhost/ward?colour=secret",
        "mongodb://ada:sec:ret@localhost/ward?replicaSet=",
        "mongodb://localhost/wa.rd$",
        "mongodb://localhost/wa.rd",
        "mongodb://ada:secret@localhost/ward?authMechanism=GSSAPI&authSource=secret",
        "mongodb://ada:secret@localhost/ward?authMechanism=MONGODB-X509",
    ],
)
@pytest.mark.filterwarnings("ignore:Unknown option:UserWarning")
async def test_a_url_that_is_none(url: str) -> None:
    assert "a MongoDB URL such as" in await refusal(url)


@pytest.mark.parametrize("password", ["sec@ret", "sec:ret", "sec/ret", "sec%ret"])
async def test_a_password_that_is_not_escaped(password: str) -> None:
    text = await refusal(f"mongodb://ada:{password}@127.0.0.1/ward")
    assert "write @ as %40" in text
    assert password not in text


async def test_a_database_with_a_dot_in_its_name() -> None:
    text = await refusal("mongodb://localhost/wa.rd")
    assert "a dot cannot be in the name of the database" in text


@pytest.fixture(scope="module")
def tls() -> Iterator[ReplicaSet]:
    """One member that wants TLS."""
    with ReplicaSet(1, has_tls=True) as replica_set:
        yield replica_set


@pytest.fixture(scope="module")
def plain() -> Iterator[ReplicaSet]:
    """One member that knows no TLS."""
    with ReplicaSet(1) as replica_set:
        yield replica_set


async def test_a_database_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        text = await refusal(f"mongodb://ada:secret@127.0.0.1:{port}/ward")
        assert "Look at host, port" in text
    text = await refusal(f"mongodb://ada:secret@127.0.0.1:{port}/ward")
    assert "Look at host, port" in text


async def test_who_waits_for_a_database_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_WAIT_TOLD_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent, capture_logs() as logs:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        text = await refusal(f"mongodb://ada:secret@{address}/ward")
    assert f"answers at {address}: is mongod running?" in text
    assert "BOLIDE_STORE" in text
    (waiting,) = [log for log in logs if log["event"] == "waiting for the database"]
    assert address in waiting["wanted"]
    assert "secret" not in str(waiting)


async def test_a_host_that_nobody_knows() -> None:
    text = await refusal("mongodb://db.invalid/ward", insecure=True)
    assert "hosts whose names this machine can look up" in text


async def test_a_single_mongod_is_told_how_to_become_a_replica_set(standalone: str) -> None:
    for url in (standalone, f"{standalone}?replicaSet=rs0", f"{standalone}?x509=&replicaSet=rs0"):
        text = await refusal(url.replace("x509=", "w=1"))
        assert "--replSet rs0" in text
        assert f'mongosh {standalone.split("/")[2]} --eval "rs.initiate()"' in text


async def test_a_replica_set_that_was_not_begun_is_told_how() -> None:
    begun = ReplicaSet(1)
    try:
        begun.run(begun.members[0])
        text = await refusal(begun.url("ward"))
        assert f"run once: mongosh {begun.members[0].address} --eval" in text
    finally:
        begun.stop()


async def test_a_replica_set_of_another_name(plain: ReplicaSet) -> None:
    text = await refusal(plain.url("ward").replace("rs0", "rs9"))
    assert "one with replicaSet=rs0, which is its name" in text
    stranger = plain.url("ward", user="ada:secret").replace("rs0", "rs9")
    assert "a MongoDB that answers" in await refusal(stranger)


async def test_a_replica_set_without_a_majority() -> None:
    with ReplicaSet() as replica_set:
        last = next(m for m in replica_set.members if m is not replica_set.primary())
        secondary = f"mongodb://{last.address}/ward?directConnection=true"
        assert "without directConnection=true" in await refusal(secondary)
        for member in replica_set.members:
            if member is not last:
                replica_set.kill(member)
        text = await refusal(replica_set.url("ward"))
    assert "of 3 members answer, and none is primary" in text
    assert "rs.status()" in text


async def test_plain_text_to_a_server_that_wants_tls(tls: ReplicaSet) -> None:
    text = await refusal(tls.url("ward", user="ada:secret", tls="", tlsCAFile=""))
    assert "tls=true" in text


async def test_tls_to_a_server_that_knows_none(plain: ReplicaSet) -> None:
    text = await refusal(plain.url("ward", tls="true"))
    assert "this MongoDB speaks no TLS" in text


async def test_a_certificate_of_an_unknown_authority(tls: ReplicaSet, tmp_path: Path) -> None:
    other = Authority(tmp_path).file()
    for authority in ("", str(other)):
        assert "tlsCAFile=FILE.pem" in await refusal(tls.url("ward", tlsCAFile=authority))


@pytest.mark.parametrize(
    ("names", "days", "wanted"),
    [
        (("127.0.0.1",), -1, "it has expired, renew it"),
        (("db.example.org",), 1, "hosts by the names in MongoDB's certificate"),
    ],
)
async def test_a_certificate_that_is_not_good(
    names: tuple[str, ...], days: int, wanted: str, tmp_path: Path
) -> None:
    """No mongod starts with one that has expired; it expires while it runs."""
    authority = Authority(tmp_path)
    files = authority.issue(*names, not_after=datetime.now(UTC) + timedelta(days=days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    async with posing(context) as address:
        url = f"mongodb://{address}/ward?tls=true&tlsCAFile={authority.file()}"
        assert wanted in await refusal(url)


async def test_a_server_that_asks_for_a_certificate() -> None:
    with ReplicaSet(1, has_tls=True, asks_for_certificates=True) as replica_set:
        certificate = replica_set.certificate
        url = replica_set.url("ward", tlsCertificateKeyFile="")
        assert "tlsCertificateKeyFile=FILE.pem, if MongoDB asks" in await refusal(url)
        store = MongoStore(replica_set.url("ward", tlsCertificateKeyFile=certificate))
        await store.open()
        await store.close()


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
async def test_a_file_that_is_no_pem(option: str, tls: ReplicaSet, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("secret")
    for path in (rubbish, tmp_path / "missing.pem"):
        text = await refusal(tls.url("ward", **{option: str(path)}))
        assert "readable PEM files" in text


async def test_a_wrong_password(replica_set: ReplicaSet) -> None:
    url = replica_set.url("ward", user="ada:secret")
    text = await refusal(url)
    assert "a user and a password that MongoDB knows" in text
    assert "authSource=" in text


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("mongodb://ada:secret@db.example.org/ward", "tls=true"),
        ("mongodb://127.0.0.1,db.example.org/ward?tls=true", "a user and a password"),
        ("mongodb://ada:secret@[2001:db8::1]/ward?tls=false", "tls=true"),
        ("mongodb://a:secret@db.example.org/ward?tls=true&tlsInsecure=true", "tlsInsecure"),
        (
            "mongodb://a:secret@db.example.org/ward?tls=true&tlsAllowInvalidHostnames=true",
            "one without tlsAllowInvalidHostnames",
        ),
    ],
)
async def test_another_machine_needs_tls_and_a_password(url: str, wanted: str) -> None:
    text = await refusal(url)
    assert wanted in text
    assert "BOLIDE_INSECURE_STORE=1" in text


@pytest.mark.parametrize("member", ["192.0.2.1", "[2001:db8::1]", "db3.invalid"])
@pytest.mark.parametrize("kind", ["passives", "arbiters"])
async def test_a_member_on_another_machine_needs_tls_and_a_password(kind: str, member: str) -> None:
    """It is the replica set that names it, not the URL."""
    members: dict[str, Any] = {kind: ["127.0.0.1:1", f"{member}:27017"]}
    assert await remote_member({"hosts": members[kind]}) == member.strip("[]")
    async with posing(**members) as address:
        url = f"mongodb://{address}/ward"
        client, _ = await connection.connected(url, SystemClock(), insecure=True)
        await client.close()
        client, _ = await connection.connected(f"{url}?directConnection=true", SystemClock())
        await client.close()
        text = await refusal(url)
    assert "tls=true" in text
    assert f"a member {member.strip('[]')}, which is on another machine" in text
    assert "BOLIDE_INSECURE_STORE=1" in text


async def test_a_member_by_another_name_of_this_machine_needs_neither() -> None:
    """A bare ``rs.initiate()`` calls it by the machine's name."""
    own = socket.gethostname()
    async with posing(
        passives=[f"{own}:1", "[::1]:1", "0.0.0.0:1", "/tmp/mongodb-1.sock:1"]
    ) as address:
        client, _ = await connection.connected(f"mongodb://{address}/ward", SystemClock())
        await client.close()


async def test_a_socket_of_this_machine_needs_neither(tmp_path: Path) -> None:
    path = str(tmp_path / "mongodb-27017.sock").replace("/", "%2F")
    assert "Look at host, port" in await refusal(f"mongodb://{path}/ward")


async def test_a_clock_that_is_wrong(plain: ReplicaSet) -> None:
    assert "clock is right" in await refusal(plain.url("ward"), clock=FakeClock())
    assert MAX_CLOCK_DIFFERENCE_S == 60
    late = datetime.now(UTC) - timedelta(seconds=MAX_CLOCK_DIFFERENCE_S + 20)
    async with posing(localTime=late) as address:
        assert "apart from this machine's" in await refusal(f"mongodb://{address}/ward")


@pytest.mark.parametrize("wire_version", [12, 9, 6])
async def test_a_version_before_5_0(wire_version: int) -> None:
    """12 is that of the last one before, 6 one that the driver itself does not speak to."""
    async with posing(maxWireVersion=wire_version) as address:
        text = await refusal(f"mongodb://{address}/ward?replicaSet=rs0")
    assert "MongoDB 5.0 or newer" in text


@pytest.mark.parametrize(
    ("answer", "warning"),
    [
        ({"arbiters": ["127.0.0.1:1"]}, "the replica set has an arbiter"),
        ({"msg": "isdbgrid", "setName": None}, "a sharded cluster is not tested"),
    ],
)
async def test_what_works_less_well_is_a_warning(answer: dict[str, Any], warning: str) -> None:
    async with posing(**{k: v for k, v in answer.items() if v}) as address:
        with capture_logs() as logs:
            client, _ = await connection.connected(f"mongodb://{address}/ward", SystemClock())
            await client.close()
    assert [log for log in logs if log["event"].startswith(warning)]


async def test_members_that_are_known_by_other_names_elsewhere_only() -> None:
    """What happens to who runs mongod in a container and connects from outside."""
    async with posing(hosts=["mongo1.invalid:27017"], me="mongo1.invalid:27017") as address:
        text = await refusal(f"mongodb://{address}/ward?replicaSet=rs0")
    assert "it calls them mongo1.invalid" in text


class Names(asyncio.DatagramProtocol):
    """A name server that knows two members of one cluster."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = message.from_wire(data)
        answer = message.make_response(asked)
        question = asked.question[0]
        if question.name.to_text() == "_mongodb._tcp.cluster.ward.invalid.":
            members = [f"0 0 27017 db{number}.ward.invalid." for number in (1, 2)]
            answer.answer.append(rrset.from_text(question.name, 60, "IN", "SRV", *members))
        elif question.rdtype == rdatatype.SRV:
            answer.set_rcode(rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)


async def test_a_name_that_stands_for_the_members(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    resolver = asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    monkeypatch.setattr(asyncresolver, "default_resolver", resolver)
    text = await refusal("mongodb+srv://ada:secret@nowhere.ward.invalid/ward")
    assert "SRV records" in text
    assert "mongodb+srv" not in await refusal("mongodb+srv://ada:secret@a.b.c,d.e.f/ward")
    # It wants TLS unless it is told otherwise.
    text = await refusal("mongodb+srv://ada:secret@cluster.ward.invalid/ward")
    assert "hosts whose names this machine can look up" in text
    assert "a user and a password" in await refusal("mongodb+srv://cluster.ward.invalid/ward")
    url = "mongodb+srv://ada:secret@cluster.ward.invalid/ward?tls=false"
    assert "tls=true" in await refusal(url)
    transport.close()


async def test_a_store_is_opened_once(new_database: Callable[[], str]) -> None:
    store = MongoStore(new_database())
    with pytest.raises(StateError, match="not open"):
        await store.read(Query(collection="beds"))
    await store.open()
    with pytest.raises(StateError, match="open already"):
        await store.open()
    await store.close()
    await store.close()
    await store.open()
    await store.close()


async def test_the_raw_collection_is_the_drivers_own(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = MongoStore(url)
    await store.open()
    await store.raw_collection("beds").insert_one({"_id": 1})
    with MongoClient[dict[str, object]](url) as client:
        assert client.get_default_database()["beds"].count_documents({}) == 1
    await store.close()
