"""A foreign write shows within a second of its hint, and a forged hint shows nothing."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern
from tests.redis_server import RedisServer, tell
from tests.replica_set import ReplicaSet
from typer.testing import CliRunner

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.ops.cli import app as cli
from bolide.server import App, Context, Cursor, Settings
from bolide.server.clock import SystemClock
from bolide.server.stores.mongo import MongoStore
from bolide.server.testing import TestClient, TestNode


async def publish(server: RedisServer, *words: str) -> None:
    command = ["feed", "publish", *words, "--redis", server.url]
    result = await asyncio.to_thread(CliRunner().invoke, cli, command)
    assert result.exit_code == 0, result.stderr


def changes_of(client: TestClient) -> int:
    return sum(isinstance(message, Added | Changed | Removed) for message in client.messages)


async def test_a_hint_shows_a_foreign_write_and_a_forged_one_shows_nothing(
    redis_server: RedisServer, new_database: Callable[[], str], replica_set: ReplicaSet
) -> None:
    url = new_database()
    with replica_set.client() as administrator:
        foreign = administrator[str(parse_uri(url)["database"])]
        # No change stream tells of a time series.
        foreign.create_collection("readings", timeseries={"timeField": "at"})
        readings = foreign["readings"].with_options(write_concern=WriteConcern("majority"))

        app = App()
        own = app.collection("readings")

        @app.publish("readings", public=True)
        async def all_readings(ctx: Context) -> Cursor:
            return own.find({})

        settings = Settings(redis=redis_server.url, poll_interval_s=60)
        node = TestNode(app, store=MongoStore(url), settings=settings)
        node.node.clock = SystemClock()
        async with node:
            client = await node.connect()
            await client.subscribe("readings")
            assert client.documents("readings") == []
            # Told after the write, it is seen; told of nothing, nothing is.
            for id in ("r1", "r2"):
                for forged in ("ghost", '{"a":1}', "0"):
                    await publish(redis_server, "readings", forged)
                before = changes_of(client)
                readings.insert_one({"_id": id, "at": datetime.now(UTC), "pulse": 70})
                await publish(redis_server, "readings", id)
                async with asyncio.timeout(1):
                    await client.wait_for(
                        lambda id=id: any(one["_id"] == id for one in client.documents("readings"))  # type: ignore[misc]
                    )
                assert changes_of(client) == before + 1
            redis = node.node.redis
            assert redis is not None
            assert redis.state.hints_taken == 8
        assert tell(redis_server, "XLEN", "bolide:hints") == 8
