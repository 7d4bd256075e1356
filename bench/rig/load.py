"""Drive a server with the C load generator of the shared harness, and read its report."""

import json
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.rig.material import Material
from bench.rig.process import LOAD_CPU, Running
from bench.rig.servers import Server

__all__ = [
    "CONNECT",
    "REQUEST",
    "TRIGGER",
    "QuietSpan",
    "Reading",
    "broadcast_load",
    "read_report",
    "relay_load",
    "request_load",
]

# The only frame that the load generator sends by itself on every connection.
CONNECT = '{"msg":"connect","version":"1","support":["1"]}'
REQUEST = (
    '{"msg":"method","method":"tasks.update",'
    '"params":["Xyz12345678901234",{"set":{"n":1}}],"id":"12345"}'
)
# `%ld` is for the load generator, which puts the number of messages there.
TRIGGER = '{"msg":"method","method":"change","params":[%%ld,%d],"id":"1"}'
# Shorter frames are no deliveries: `connected`, `result`, `updated`.
_LEAST_DELIVERY = 150
# Of the two frames that answer a method only `result` counts: `updated` has 37 bytes, this 58.
_LEAST_RESULT = 50
_PATIENCE_S = 120
_TIMEOUT_S = 180
_LOOK_S = 0.05
_REST_SHARE = 0.05  # of a processor; a node with sessions has timers
_LEAST_REST_S = 0.4
_NOT_JSON = re.compile(r"-?\b(nan|inf)\b")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run of the load generator found.

    Attributes:
        figure: What was measured, in the unit of the row: microseconds of CPU per message or
            request; None if the run failed.
        note: What was wrong, or None.
        messages: How many arrived; of requests about, those of the time before included.
    """

    figure: float | None
    note: str | None
    messages: int = 0


def broadcast_load(
    server: Server,
    running: Running,
    material: Material,
    *,
    subscribers: int = 1_000,
    messages: int = 80,
    together: int = 1,
    settle_s: float = 2.0,
    words: Sequence[str] = (),
) -> Reading:
    """Let a server tell all its subscribers of changes.

    Args:
        server: Which.
        running: The same, started.
        material: The tools.
        subscribers: How many connect.
        messages: How many each of them is sent.
        together: Changes in one turn of the loop; peers always make one.
        settle_s: Time after the last connection until the changes begin, seconds.
        words: Further arguments of the load generator.
    """
    arguments = ["-m", "sub", "-c", str(subscribers), "-b", str(messages)]
    arguments += ["-d", str(_PATIENCE_S), "-W", str(settle_s), "-L", str(_LEAST_DELIVERY)]
    if server.is_ours:
        arguments += ["-i", CONNECT, "-t", TRIGGER % together]
    report = _run(server, running, material, [*arguments, *words])
    return _reading(report, "cpu_us_per_msg", wanted=subscribers * messages)


def request_load(
    server: Server,
    running: Running,
    material: Material,
    *,
    connections: int = 50,
    seconds: float = 2.0,
    settle_s: float = 2.0,
) -> Reading:
    """Let a server answer requests, one at a time on each connection.

    Args:
        server: Which.
        running: The same, started.
        material: The tools.
        connections: How many connect.
        seconds: How long it is measured.
        settle_s: How long it runs before; Node compiles its code meanwhile.
    """
    arguments = ["-m", "echo", "-c", str(connections), "-d", str(seconds), "-W", str(settle_s)]
    arguments += ["-x", REQUEST, "-L", str(_LEAST_RESULT if server.is_ours else 5)]
    if server.is_ours:
        arguments += ["-i", CONNECT]
    report = _run(server, running, material, arguments)
    report["msgs"] = round((report.get("rt_per_s") or 0) * (seconds + settle_s))
    return _reading(report, "cpu_us_per_rt", wanted=None)


def relay_load(
    server: Server, running: Running, material: Material, *, key: str, words: Sequence[str]
) -> Reading:
    """Let a balancer carry what the load generator sends.

    Args:
        server: Which.
        running: The same, started.
        material: The tools.
        key: Of the report: what is measured.
        words: Arguments of the load generator.
    """
    report = _run(server, running, material, [*words, "-W", "0.5"])
    return _reading(report, key, wanted=None)


def read_report(text: str) -> dict[str, Any]:
    """Read the line of JSON; numbers that are none (0 divided by 0) become null.

    Raises:
        ValueError: If it is not one.
    """
    report: dict[str, Any] = json.loads(_NOT_JSON.sub("null", text))
    return report


def _run(
    server: Server, running: Running, material: Material, arguments: Sequence[str]
) -> dict[str, Any]:
    command = ["taskset", "-c", str(LOAD_CPU), str(material.load_generator)]
    command += ["-P", str(running.port), "-C", ",".join(map(str, (running.pid, *running.others)))]
    command += ["-p", server.path]
    command += ["-T"] if server.tls else []
    rest = QuietSpan()
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + _TIMEOUT_S
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
                return {"complaint": "the load generator did not end"}
            rest.look(time.monotonic(), running.cpu_s())
            time.sleep(_LOOK_S)
        output, complaints = process.communicate()
    try:
        report = read_report(output)
    except ValueError:
        return {"complaint": complaints.strip() or "the load generator said nothing"}
    if complaints.strip():
        report["complaint"] = complaints.strip().splitlines()[0]
    report["rest_s"] = rest.longest_s
    return report


class QuietSpan:
    """Watches a process: how long was it at rest, after it had something to do?

    The load generator counts a connection as open when the handshake is done. A node still has to
    begin its session and to send it the first documents, and that must not be in the figure.

    Attributes:
        longest_s: The longest rest so far, seconds.
    """

    def __init__(self) -> None:
        """Begin before the first look."""
        self.longest_s = 0.0
        self._last: tuple[float, float] | None = None
        self._since: float | None = None

    def look(self, now: float, cpu_s: float) -> None:
        """Take the time and the CPU that the process has used so far, seconds both."""
        if self._last is not None:
            then, used = self._last
            if cpu_s - used > _REST_SHARE * (now - then):
                self._since = now
            elif self._since is not None:
                self.longest_s = max(self.longest_s, now - self._since)
        self._last = (now, cpu_s)


def _reading(report: dict[str, Any], key: str, *, wanted: int | None) -> Reading:
    messages = report.get("msgs") or 0
    figure = report.get(key) or None
    note = report.get("complaint")
    if note is None and report.get("err"):
        note = f"{report['err']} connections failed"
    if wanted is not None and messages != wanted:
        note = note or f"{messages} of {wanted} messages arrived"
        # Changes that were netted cost nothing: per message that is no longer the same thing.
        figure = None
    if wanted is not None and report.get("rest_s", _LEAST_REST_S) < _LEAST_REST_S:
        note = note or "the changes began while sessions were still being opened"
        figure = None
    return Reading(figure, note, messages)
