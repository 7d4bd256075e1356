"""The conformance rows that do not pass, each with its reason."""

from typing import Final, TypeAlias

__all__ = ["DESIGN_WINS", "EXCEPTIONS", "LEFT_OUT", "REFUTED_BY_MONGOD", "Key", "reason_of"]

Key: TypeAlias = tuple[str, int]
"""A file without ``.jsonl``, and the number of a line in it, counted from 1."""


def _named(reason: str, file: str, *numbers: int) -> dict[Key, str]:
    return {(file, number): reason for number in numbers}


_TIE: Final = (
    "minimongo sorts null after what is missing; mongod returns the two documents in the order of "
    "arrival, whichever that is: a tie"
)
_EMPTY_ARRAY: Final = (
    "minimongo sorts an empty array like what is missing; mongod returns it before that if "
    "ascending, after it if descending"
)
_OBJECTS: Final = (
    "minimongo compares objects by the first names, and then the first values; mongod compares the "
    "types of these values before the names"
)
_NO_DOCUMENT: Final = (
    "where an inclusion leads below a value that is no document, minimongo shows {}, and null in "
    "arrays; mongod leaves the value out"
)
_CONFLICT: Final = (
    "a path is changed twice, or together with one inside it: in minimongo the later operator wins;"
    " mongod refuses the modifier with error 40, or 2 where it is one $rename"
)
_ARRIVAL: Final = (
    "a changed document moves behind those with equal sort keys in Meteor's observer; mongod finds "
    "them in the order of arrival after the same writes"
)
_FORGOTTEN: Final = (
    "Meteor's observer forgets to compute its window again when the last document of a multi-update"
    " is outside of it; mongod finds other documents after the same writes"
)

REFUTED_BY_MONGOD: Final[dict[Key, str]] = {
    **_named(
        "minimongo lets no array be less than or equal to an array; mongod compares them as wholes:"
        " [] comes before [1.5], so that the $nor does not match",
        *("fuzz_match", 1962),
    ),
    **_named(_TIE, "fuzz_sort", 67, 93, 102, 109, 157, 210, 312, 326, 363, 368, 373, 375, 376, 378),
    **_named(_EMPTY_ARRAY, "fuzz_sort", 163, 184, 201, 222),
    **_named(_OBJECTS, "fuzz_compare", 197, 275, 289, 419, 502, 543),
    **_named(_OBJECTS, "fuzz_sort", 339, 379),
    **_named(_NO_DOCUMENT, "find", 148),
    **_named(
        *(_NO_DOCUMENT, "fuzz_projection", 5, 6, 12, 64, 72, 75, 84, 100, 105, 106, 155, 172, 175),
        *(178, 192, 213, 220, 267, 277, 298, 302, 319, 320, 360),
    ),
    **_named(
        *(_CONFLICT, "fuzz_modify", 36, 53, 59, 62, 156, 195, 204, 229, 242, 253, 259, 282, 330),
        *(334, 342, 362, 368, 433, 435, 545, 577, 589, 610, 622, 645, 647, 664, 780, 795, 812, 849),
        *(913, 930, 948, 956, 1075, 1109, 1144, 1161),
    ),
    **_named(
        "minimongo fails on null with an error of JavaScript; mongod adds null to the set",
        *("fuzz_modify", 344),
    ),
    **_named(
        "minimongo makes a set with one number twice; mongod puts it in once",
        *("fuzz_modify", 1169),
    ),
    **_named(_ARRIVAL, "fuzz_observe", 40, 62, 169, 217),
    **_named(_FORGOTTEN, "fuzz_observe", 204, 273),
}
"""Rows that Meteor's authors did not assert and mongod 6.0.5 answers as we do, see `test_mongod`;
they do not count, because MongoDB decides what a query means."""

EXCEPTIONS: Final[dict[Key, str]] = {
    **_named(
        "Meteor copies the id of a message; our messages hold ids as values, and no value is "
        'written "-abc": it is read, and then written "abc"',
        *("ddp_codec", 6),
    ),
}
"""Rows that we answer differently by our own decision; at most 20."""

DESIGN_WINS: Final[dict[Key, str]] = {
    **_named(
        "minimongo refuses an observer with skip or limit and without order; the design asks for "
        "live windows on the server, which are compared with a fresh query instead",
        *(
            "fuzz_observe",
            12,
            24,
            33,
            35,
            36,
            37,
            44,
            57,
            59,
            66,
            86,
            88,
            93,
            97,
            99,
            106,
            109,
            112,
        ),
        *(120, 129, 144, 147, 157, 171, 172, 177, 185, 188, 195, 205, 207, 225, 244, 255, 271, 277),
        *(298, 299),
    ),
}
"""Rows that the design overrules."""

LEFT_OUT: Final[dict[Key, str]] = {
    **_named("nothing here reads the oplog: change streams are read", "oplog_v2", *range(1, 22)),
    **_named(
        "whether a modifier can make a selector true is asked by nothing here: a change is applied "
        "to the cached document, which then is matched",
        *("extra", *range(60, 172)),
    ),
    **_named("the texts in $where are JavaScript", "match", *range(1070, 1079)),
}
"""Rows about what Bolide does not do; no test runs them."""


def reason_of(key: Key) -> str | None:
    """Return why a row does not pass; None if it does."""
    for group in (REFUTED_BY_MONGOD, EXCEPTIONS, DESIGN_WINS):
        if key in group:
            return group[key]
    return None
