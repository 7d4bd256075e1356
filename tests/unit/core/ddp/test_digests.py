"""Digests: the vectors that every SDK shares, and what is no digest."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.core.ddp.digests import (
    DIGEST_BYTES,
    digest_text,
    document_digest,
    parse_digest,
    view_digest,
)
from bolide.core.ejson import canonical, from_json

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "vectors" / "digests.json").read_text("utf-8")
)


@pytest.mark.parametrize("case", VECTORS["documents"], ids=lambda case: case["law"])
def test_digest_of_a_document(case: dict[str, Any]) -> None:
    fields = from_json(case["fields"])

    assert isinstance(fields, dict)
    assert digest_text(document_digest(fields)) == case["digest"]


@pytest.mark.parametrize("case", VECTORS["views"], ids=lambda case: case["law"])
def test_digest_of_a_view(case: dict[str, Any]) -> None:
    documents = {id: parse_digest(text) for id, text in case["documents"].items()}

    assert digest_text(view_digest(documents)) == case["digest"]


@given(
    st.dictionaries(
        st.text("abzAZ019_-") | st.text('a_$"\\\n é\uffff😀') | st.just("$date"),
        st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES),
        max_size=5,
    )
)
def test_the_short_way_gives_canonical_ejson(documents: dict[str, bytes]) -> None:
    text = canonical({id: digest_text(digest) for id, digest in documents.items()})

    assert view_digest(documents) == sha256(text.encode()).digest()[:DIGEST_BYTES]


def test_a_digest_survives_the_wire() -> None:
    digest = document_digest({"name": "Ada"})

    assert len(digest) == DIGEST_BYTES
    assert parse_digest(digest_text(digest)) == digest


@pytest.mark.parametrize("text", ["", "x" * 21, "x" * 23, "+" * 22, "é" * 22, None, 5, b"x" * 22])
def test_what_is_no_digest_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a digest"):
        parse_digest(text)
