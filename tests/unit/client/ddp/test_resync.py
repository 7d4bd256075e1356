"""The messages of a resync: digests, in chunks that a server takes."""

import pytest

from bolide.client.ddp.resync import ask_for_resync, chunks_of_digests
from bolide.core.ddp.codec import serialize
from bolide.core.ddp.digests import view_digest
from bolide.core.ddp.messages import Have

DIGEST = b"\x07" * 16


def test_question_holds_one_digest_for_each_collection() -> None:
    documents = {"a": DIGEST, "b": DIGEST}
    message = ask_for_resync(["1"], {"p": documents})
    assert (message.subs, message.views) == (("1",), {"p": view_digest(documents)})


def test_nothing_wanted_is_answered_with_nothing() -> None:
    assert list(chunks_of_digests([], {"p": {"a": DIGEST}}, 1_000)) == []


def test_wanted_collections_are_told_once_also_those_without_documents() -> None:
    digests = {"p": {"a": DIGEST}, "q": {"b": DIGEST}}
    assert list(chunks_of_digests(["p", "none", "p"], digests, 1_000)) == [
        Have({"p": {"a": DIGEST}, "none": {}})
    ]


@pytest.mark.parametrize("prefix", ["", 'é"\\\n', "\N{HOSPITAL}"])
@pytest.mark.parametrize("max_bytes", [120, 150, 200, 333, 1_000])
def test_chunks_stay_below_the_limit_and_lose_nothing(prefix: str, max_bytes: int) -> None:
    digests = {name: {f"{prefix}{n}": DIGEST for n in range(23)} for name in ("p", f"{prefix}q")}
    chunks = list(chunks_of_digests(digests, digests, max_bytes))
    assert [chunk.more for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    told: dict[str, dict[str, bytes]] = {name: {} for name in digests}
    for chunk in chunks:
        assert len(serialize(chunk, bolide=True).encode()) <= max_bytes
        for name, documents in chunk.views.items():
            told[name].update(documents)
    assert told == digests


def test_document_that_fills_a_message_alone_is_told_all_the_same() -> None:
    digests = {"p": {"a" * 100: DIGEST, "b": DIGEST}}
    assert list(chunks_of_digests(["p"], digests, 10)) == [
        Have({"p": {"a" * 100: DIGEST}}, more=True),
        Have({"p": {"b": DIGEST}}),
    ]
