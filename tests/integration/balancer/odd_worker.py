"""A worker that behaves as its first argument says: for what a good one never does.

It relays nothing. It answers every connection with the number of its process.
"""

import json
import os
import select
import signal
import socket
import sys
import threading

mode, control_number = sys.argv[1], int(sys.argv[2])
control = socket.socket(fileno=control_number)


def tell(**message: object) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def answer(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"%d\n" % os.getpid())


def main() -> None:
    version = 0
    if mode == "deaf":
        select.select([control], [], [])
        os._exit(3)
    for line in control.makefile("rb"):
        message = json.loads(line)
        match message["type"]:
            case "configure":
                version += 1
                listeners = message["listeners"]
                if version == 1:
                    for number in listeners:
                        listener = socket.socket(fileno=int(number))
                        threading.Thread(target=answer, args=(listener,), daemon=True).start()
                configured(message)
            case "view":
                for node in message["nodes"]:
                    tell(type="noticed", node=node["name"], what="refused")
                if mode != "blind":
                    tell(type="seen", version=message["version"])
            case "retire" if mode != "stubborn":
                counts = {"requests_total": 100, "connections_open": 1}
                tell(type="counted", counts=counts, open_by_node={})
                os._exit(0)
            case _:
                pass


def configured(message: dict[str, object]) -> None:
    match mode:
        case "silent":
            return
        case "babbling":
            control.sendall(b"hello\n")
        case "ending":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "picky" if message["cluster"] != "good":
            tell(type="configured", version=message["version"], problem="no such cluster")
            return
        case _:
            pass
    tell(type="configured", version=message["version"])
    tell(type="noticed", node=message["cluster"], what="answered")
    counts = {"requests_total": 7, 'responses_total{class="2xx"}': 5, "connections_open": 2}
    tell(type="counted", counts=counts, open_by_node={"a": 2})


main()
