from pymongo.errors import WriteError

from bolide.core.values import Document
from bolide.server.stores.embedded.errors import bulk_write_error, duplicate_key_error

SECRET = "Ada Lovelace"


def test_a_duplicate_key_is_named_in_the_text_and_quoted_in_the_details_only() -> None:
    error = duplicate_key_error("beds", "name_1", {"name": 1}, {"name": SECRET})
    assert str(error) == "E11000 duplicate key error collection: beds index: name_1"
    assert SECRET not in repr(error)
    assert error.code == 11000
    assert error.details is not None
    assert error.details["keyPattern"] == {"name": 1}
    assert error.details["keyValue"] == {"name": SECRET}


def test_a_bulk_error_has_pymongos_details_and_says_where_the_first_is() -> None:
    duplicate = duplicate_key_error("beds", "_id_", {"_id": 1}, {"_id": SECRET})
    failures: list[tuple[int, Document, WriteError]] = [
        (1, {"_id": SECRET}, duplicate),
        (3, {"_id": 3}, WriteError("No.", 53)),
    ]
    error = bulk_write_error(failures, 2)
    assert str(error).startswith("batch op errors occurred, the first at index 1: E11000")
    assert SECRET not in repr(error)
    assert error.code == 65
    assert error.details["nInserted"] == 2
    first, second = error.details["writeErrors"]
    assert (first["index"], first["code"], first["op"]) == (1, 11000, {"_id": SECRET})
    assert (second["index"], second["code"], second["errmsg"]) == (3, 53, "No.")
