"""PyPI `python-meteor`: threads and callbacks."""

import json
import sys
import threading

from MeteorClient import MeteorClient

url = sys.argv[1]
lock = threading.Lock()
client = MeteorClient(url, auto_reconnect=False)


def say(event: dict) -> None:
    with lock:
        print(json.dumps(event), flush=True)


def show(collection: str, *_: object) -> None:
    documents = client.collection_data.data.get(collection, {})
    say({"event": "view", "collection": collection, "documents": documents})


def obey(line: str) -> None:
    order = json.loads(line)
    name = order["name"]

    def done(error: object, value: object = None) -> None:
        if error:
            # Of a refused subscription this library tells its callback the reason only.
            told = error if isinstance(error, dict) else {"reason": error}
            say({"event": "error", "name": name, "error": told})
        else:
            say({"event": order["command"], "name": name, "value": value})

    act = client.subscribe if order["command"] == "subscribe" else client.call
    act(name, order["args"], callback=done)


for event in ("added", "changed", "removed"):
    client.on(event, show)
client.on("failed", lambda *problem: say({"event": "failed", "problem": str(problem)}))
client.connect()
client._wait_for_connect()
say({"event": "connected"})
for line in sys.stdin:
    obey(line)
