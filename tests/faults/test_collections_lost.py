"""Collections that others drop, rename, replace and convert; users that are taken away."""

import asyncio

from tests.driver_sockets import MAY_BE_LEFT
from tests.faults.ward import ward
from tests.replica_set import ReplicaSet

from bolide.server.stores.base import Insert

pytestmark = MAY_BE_LEFT


async def test_a_view_follows_what_becomes_of_its_collection() -> None:
    with ReplicaSet(1) as members, members.client() as client:
        database = client["ward"]
        beds = database["beds"]
        async with ward(members.url("ward")) as it:
            lost = it.health.collections_lost

            await asyncio.to_thread(beds.insert_many, [{"_id": 1}, {"_id": 2}])
            await it.shows({"_id": 1}, {"_id": 2})

            await asyncio.to_thread(database["source"].insert_one, {"_id": 3})
            await asyncio.to_thread(database["source"].aggregate, [{"$out": "beds"}])
            await it.shows({"_id": 3})
            assert lost == {"dropped": 0, "renamed": 0, "replaced": 1}

            await asyncio.to_thread(beds.rename, "away")
            await it.shows()
            assert lost == {"dropped": 0, "renamed": 1, "replaced": 1}

            await asyncio.to_thread(beds.insert_one, {"_id": 4})
            await it.shows({"_id": 4})
            await asyncio.to_thread(lambda: database["away"].rename("beds", dropTarget=True))
            await it.shows({"_id": 3})
            assert lost == {"dropped": 0, "renamed": 1, "replaced": 2}

            await asyncio.to_thread(beds.drop)
            await it.shows()
            await asyncio.to_thread(beds.insert_one, {"_id": 5})
            await it.shows({"_id": 5})
            assert lost == {"dropped": 1, "renamed": 1, "replaced": 2}

            await asyncio.to_thread(client.drop_database, "ward")
            await it.shows()
            await asyncio.to_thread(beds.insert_one, {"_id": 6})
            await it.shows({"_id": 6})
            assert lost["dropped"] == 2
            assert it.health.reopenings["database dropped"] == 1

            await asyncio.to_thread(database.command, "convertToCapped", "beds", size=100_000)
            done = await it.node.store.write(Insert(collection="beds", documents=[{"_id": 7}]))
            assert done.position is not None
            await it.node.store.feed_reached(done.position)
            await it.node.clock.advance(1)  # there is no snapshot of it, so it is polled
            await it.shows({"_id": 6}, {"_id": 7})
            assert lost["replaced"] == 3

            await it.agree()
            assert it.losses == 0


async def test_a_user_that_is_taken_away_and_given_back_costs_time_only() -> None:
    with ReplicaSet(1, has_users=True) as members, members.client() as client:
        role = {"role": "readWrite", "db": "ward"}

        def create() -> None:
            client.admin.command("createUser", "node", pwd="secret", roles=[role])

        create()
        async with ward(members.url("ward", user="node:secret")) as it:
            await it.node.store.write(Insert(collection="beds", documents=[{"_id": 1}]))
            await it.shows({"_id": 1})
            await asyncio.to_thread(client.admin.command, "dropUser", "node")
            await it.waits("the database does not let this node in")
            await asyncio.to_thread(client["ward"]["beds"].insert_one, {"_id": 2})
            await asyncio.to_thread(create)
            await it.shows({"_id": 1}, {"_id": 2})
            await it.agree()
            assert it.losses == 0
            assert it.health.reopenings["user refused"] >= 1


async def test_a_database_that_is_away_for_long_costs_time_only() -> None:
    with ReplicaSet(1) as members:
        member = members.members[0]
        async with ward(members.url("ward")) as it:
            await it.node.store.write(Insert(collection="beds", documents=[{"_id": 1}]))
            await it.shows({"_id": 1})
            members.kill(member)
            await it.waits("the database has no primary that can be reached")
            late = await it.node.connect()
            subscribing = asyncio.create_task(late.subscribe("beds"))
            await asyncio.to_thread(members.run, member)
            await it.waits("")
            await subscribing
            it.clients.append(late)
            await it.node.store.write(Insert(collection="beds", documents=[{"_id": 2}]))
            await it.shows({"_id": 1}, {"_id": 2})
            assert it.losses == 0
