import pytest
from pymongo.errors import WriteError

from bolide.core.bson_codec import from_bson
from bolide.core.values import UNDEFINED
from bolide.server.stores.bson_documents import MAX_DOCUMENT_BYTES, encode, storable

SECRET = "Ada Lovelace"


def test_a_document_is_copied_and_made_of_plain_values() -> None:
    tags = ("x", "y")
    document = storable({"_id": 1, "tags": tags, "gone": UNDEFINED})
    assert document == {"_id": 1, "tags": ["x", "y"]}
    assert from_bson(encode(document)) == document


def test_a_value_of_no_known_type_is_refused_by_its_path() -> None:
    with pytest.raises(WriteError, match=r"at 'a\.b'") as caught:
        storable({"a": {"b": {SECRET}}})
    assert SECRET not in str(caught.value)
    assert caught.value.code == 2


def test_what_bson_cannot_hold_is_refused_by_its_path() -> None:
    with pytest.raises(WriteError, match="'n'") as caught:
        encode({"_id": SECRET, "n": 2**70})
    assert SECRET not in str(caught.value)


def test_the_largest_document_is_mongodbs() -> None:
    overhead = len(encode({"_id": b""}))
    encode({"_id": b"x" * (MAX_DOCUMENT_BYTES - overhead)})
    with pytest.raises(WriteError, match="16777217 bytes") as caught:
        encode({"_id": b"x" * (MAX_DOCUMENT_BYTES - overhead + 1)})
    assert caught.value.code == 10334
