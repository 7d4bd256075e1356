"""Define the command ``scripts/soak``: the long counts of the tests, one item at a time.

The tests read how much they do from variables; here are the large numbers, and the line for
``docs/design/evidence.md`` when an item held.
"""

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from bench.figures.surroundings import Surroundings, describe_surroundings
from bench.rig.material import PROJECT

__all__ = ["ITEMS", "Item", "evidence_line", "main"]

_PROGRESS_S = 60.0
_FAILED, _MISUSED = 1, 2
_NO_TESTS = 5  # pytest collected nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One claim that takes long to prove.

    Attributes:
        name: On the command line.
        claim: For the table; ``{count}`` is the number.
        variable: Tells the tests how much to do.
        count: How much.
        tests: Arguments of pytest.
        also: Further variables; one that is set already keeps its value.
    """

    name: str
    claim: str
    variable: str
    count: int
    tests: tuple[str, ...]
    also: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> Mapping[str, str]:
        """All its variables."""
        also = {name: os.environ.get(name, value) for name, value in self.also}
        return {self.variable: str(self.count), **also}

    @property
    def command(self) -> str:
        """What a reader types to see it again."""
        variables = " ".join(f"{name}={value}" for name, value in self.environment.items())
        return f"{variables} pytest {shlex.join(self.tests)}"


_WITH_OUTPUT: Final = ("-rP", "--show-capture=stdout")
_SCHEDULES: Final = "tests/property/live_core/test_live_core.py"

ITEMS = (
    Item(
        name="schedules",
        claim="{count} random schedules each on memory and SQLite, of writes, subscriptions,"
        " stops, resyncs, slow readers, repeated calls and lost history, leave every view equal"
        " to `find`, and break no law on the way",
        variable="BOLIDE_TESTS_SCHEDULES",
        count=10_000,
        tests=(*_WITH_OUTPUT, _SCHEDULES, "-k", "memory or sqlite"),
        also=(("BOLIDE_TESTS_SEED", "random"),),
    ),
    Item(
        name="mongodb-schedules",
        claim="{count} random schedules on MongoDB (three real members, two nodes, one of which has"
        " hardly a document at hand, and a writer of its own) leave every view equal to `find`, and"
        " break no law on the way",
        variable="BOLIDE_TESTS_SCHEDULES",
        count=5_000,
        tests=(*_WITH_OUTPUT, _SCHEDULES, "-k", "mongodb"),
        also=(("BOLIDE_TESTS_SEED", "random"),),
    ),
    Item(
        name="jobs",
        claim="{count} random histories of nodes that freeze, are cut off, lose answers, stop and"
        " die run no job twice at once, and lose none",
        variable="BOLIDE_TESTS_JOB_HISTORIES",
        count=2_000,
        tests=(*_WITH_OUTPUT, "tests/property/test_jobs.py"),
    ),
    Item(
        name="joins",
        claim="{count} live queries that join on MongoDB while 8 writers write (updates, inserts,"
        " deletes, transactions) show after every turn a state that the driver's own stream tells"
        " of, never one before; joining by `operationTime`, and reading before listening, fail the"
        " same test",
        variable="BOLIDE_TESTS_JOINS",
        count=1_000,
        tests=(*_WITH_OUTPUT, "tests/integration/mongodb/test_join.py"),
    ),
    Item(
        name="transactions",
        claim="{count} transactions of 3 to 300 documents under load, cut by number and by 16 MB:"
        " no observer, and no client after any write to its socket, holds a part of one; slow"
        " readers included",
        variable="BOLIDE_TESTS_TRANSACTIONS",
        count=2_000,
        tests=(
            *_WITH_OUTPUT,
            "tests/integration/mongodb/test_transactions.py",
            "tests/integration/mongodb/test_transactions_on_sockets.py",
        ),
    ),
    Item(
        name="fence",
        claim="In {count} calls on MongoDB, beside a foreign writer, `updated` never comes before"
        " its data",
        variable="BOLIDE_TESTS_FENCES",
        count=100_000,
        tests=(*_WITH_OUTPUT, "tests/integration/mongodb/test_fence.py"),
    ),
    Item(
        name="subscriptions",
        claim="With 1, 100 and {count} subscriptions mongod serves one change stream for a node,"
        " and ten writes are ten `update` and ten `getMore`, give or take two",
        variable="BOLIDE_TESTS_SUBSCRIPTIONS",
        count=10_000,
        tests=("tests/integration/mongodb/test_costs.py", "-k", "subscriptions"),
    ),
    Item(
        name="kills",
        claim="{count} kills (-9) of a node under write load, once with calls that are made again"
        " and once without, lose no acknowledged write, run no call twice and leave no client with"
        " a stale view",
        variable="BOLIDE_TESTS_KILLS",
        count=50,
        tests=(*_WITH_OUTPUT, "tests/faults"),
    ),
    Item(
        name="mongodb",
        claim="{count} kills of a primary, 10 step-downs, 5 freezes of 15 s, 5 cuts of its network"
        " from everybody and 5 from the other members, and one of all nodes from all members for"
        " 30 s, and 30 s without any member, with 200 writes/s asked of a majority and 200"
        " subscribers on two nodes, lose no acknowledged write, close no session and leave every"
        " view equal to `find`",
        variable="BOLIDE_TESTS_PRIMARY_KILLS",
        count=20,
        tests=(
            *_WITH_OUTPUT,
            "tests/faults/test_failovers.py",
            "tests/faults/test_partition.py",
        ),
        also=(
            ("BOLIDE_TESTS_STEP_DOWNS", "10"),
            ("BOLIDE_TESTS_FREEZES", "5"),
            ("BOLIDE_TESTS_FREEZE_S", "15"),
            ("BOLIDE_TESTS_AWAY_S", "30"),
            ("BOLIDE_TESTS_PARTITIONS", "5"),
            ("BOLIDE_TESTS_PARTITION_S", "15"),
            ("BOLIDE_TESTS_NODE_PARTITION_S", "30"),
            ("BOLIDE_TESTS_SUBSCRIBERS", "200"),
            ("BOLIDE_TESTS_WRITES_PER_S", "200"),
            # So many that the clients, all in one process, keep up with what they are shown.
            ("BOLIDE_TESTS_WARDS", "200"),
        ),
    ),
    Item(
        name="balanced",
        claim="{count} kills of a node, 10 of a worker, 5 rolling restarts with drain and 20 new"
        " certificates, with 500 SDK clients and 2,000 messages/s through a balancer to three"
        " nodes, TLS on every hop, bring no session to a wrong node, lose no acknowledged call and"
        " run none twice; clients are back within 10 s, and no session is lost and no request"
        " fails by a rolling restart or a new certificate",
        variable="BOLIDE_TESTS_NODE_KILLS",
        count=20,
        tests=(*_WITH_OUTPUT, "tests/faults/balanced/test_faults_under_load.py"),
        also=(
            ("BOLIDE_TESTS_WORKER_KILLS", "10"),
            ("BOLIDE_TESTS_ROLLING_RESTARTS", "5"),
            ("BOLIDE_TESTS_RELOADS", "20"),
            ("BOLIDE_TESTS_DRAIN_S", "30"),
            # So long a session must last to count as good: sooner, clients wait before they return.
            ("BOLIDE_TESTS_REST_S", "10"),
            ("BOLIDE_TESTS_NODES", "3"),
            ("BOLIDE_TESTS_PERSONS", "500"),
            ("BOLIDE_TESTS_CROWDS", "2"),
            # Few write and many see it: an SQLite file is no faster on two busy processors.
            ("BOLIDE_TESTS_WARD", "100"),
            ("BOLIDE_TESTS_MESSAGES_PER_S", "2000"),
            ("BOLIDE_TESTS_PAGES_PER_S", "20"),
        ),
    ),
    Item(
        name="stickiness",
        claim="{count} clients come back 10 times each, while a worker is killed each time and the"
        " key of the cookie is changed every other time, and find their node",
        variable="BOLIDE_TESTS_STICKY_CLIENTS",
        count=1_000,
        tests=(*_WITH_OUTPUT, "tests/faults/balanced/test_stickiness.py"),
        also=(("BOLIDE_TESTS_RETURNS", "10"),),
    ),
    Item(
        name="counters",
        claim="Four processes on one SQLite file with 4 writers each lose none of {count} updates",
        variable="BOLIDE_TESTS_COUNTER_UPDATES",
        count=100_000,
        tests=("tests/integration/sqlite", "-k", "counter"),
    ),
)


def main() -> None:
    """Run the command line."""
    typer.run(soak)


def soak(
    item: Annotated[
        str, typer.Argument(help=f"{', '.join(known.name for known in ITEMS)}, or all.")
    ],
    count: Annotated[
        int | None, typer.Option(min=1, help="Another number than the recorded one.")
    ] = None,
) -> None:
    """Run the long counts, and print a line for docs/design/evidence.md for each that held."""
    chosen = [known for known in ITEMS if item in (known.name, "all")]
    if not chosen:
        typer.echo(f"{item} is none of {', '.join(known.name for known in ITEMS)}, all.", err=True)
        raise typer.Exit(_MISUSED)
    surroundings = describe_surroundings()
    lines: list[str] = []
    failed = False
    for each in chosen:
        wanted = each if count is None else replace(each, count=count)
        started = time.monotonic()
        status = _run(wanted, typer.echo)
        if status == 0:
            lines.append(evidence_line(wanted, surroundings, time.monotonic() - started))
        else:
            failed = True
            why = "has no tests" if status == _NO_TESTS else "failed"
            typer.echo(f"{wanted.name} {why}: {wanted.command}", err=True)
    for line in lines:
        typer.echo(line)
    if failed:
        raise typer.Exit(_FAILED)


def evidence_line(item: Item, surroundings: Surroundings, took_s: float) -> str:
    """Return the line for the table.

    Args:
        item: What held.
        surroundings: Where.
        took_s: How long it took, seconds.
    """
    cells = (
        item.claim.format(count=f"{item.count:,}"),
        f"`scripts/soak {item.name}`: `{item.command}`",
        f"held, in {_duration(took_s)}",
        surroundings.date,
        surroundings.commit,
    )
    return f"| {' | '.join(cells)} |"


def _run(item: Item, say: Callable[[str], object]) -> int:
    """Run the tests of an item, with a line each minute; return pytest's status."""
    missing = [path for path in item.tests if "/" in path and not (PROJECT / path).exists()]
    if missing:
        return _NO_TESTS
    say(f"{item.name}: {item.command}")
    environment = {**os.environ, **item.environment}
    # However long it takes: the limit of a test is for the suite.
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=0", *item.tests]
    ended = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        while not ended.wait(_PROGRESS_S):
            say(f"{item.name}: running for {_duration(time.monotonic() - started)}")

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        return subprocess.run(pytest, cwd=Path(PROJECT), env=environment, check=False).returncode
    finally:
        ended.set()
        telling.join()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    main()
