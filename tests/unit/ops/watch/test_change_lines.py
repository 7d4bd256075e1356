"""Change lines: one line per change that a script can read."""

from datetime import UTC, datetime

import pytest

from bolide.client.collections.changes import Added, Change, Changed, Moved, Removed
from bolide.core.values import ObjectId
from bolide.ops.watch.change_lines import change_line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Added("p1", 0, {"_id": "p1", "rate": 75}), 'added vitals p1 {"rate":75}'),
        (
            Changed("p1", 0, {"_id": "p1"}, {"at": datetime(1970, 1, 1, tzinfo=UTC)}, ()),
            'changed vitals p1 {"at":{"$date":0}}',
        ),
        (
            Changed("p1", 0, {"_id": "p1"}, {}, ("rate", "note")),
            'changed vitals p1 {} cleared ["rate","note"]',
        ),
        (Removed(ObjectId("6561f0a1b2c3d4e5f6a7b8c9"), 0, {}),
         'removed vitals {"$type":"oid","$value":"6561f0a1b2c3d4e5f6a7b8c9"}'),
        (Added("a\x1b", 0, {"_id": "a\x1b", "x": "\x9b2J"}),
         'added vitals a\\u001b {"x":"\\u009b2J"}'),
        (Moved("p1", 0, 1, {"_id": "p1"}), None),
    ],
)  # fmt: skip
def test_change_is_one_line(change: Change, line: str | None) -> None:
    assert change_line("vitals", change) == line
