"""Every collection of Bolide's own stands in one place, from which roles are made."""

import re
from pathlib import Path

import bolide.server.stores.own_collections as own
from bolide.server.stores.own_collections import OWN_COLLECTIONS

_SOURCE = Path(own.__file__).parents[2]
# Nobody writes to it: a node reads it to see whether the store answers.
_NEVER_MADE = {"_bolide_ready"}


def test_no_name_is_written_down_anywhere_else() -> None:
    named = {
        name: path.name
        for path in _SOURCE.rglob("*.py")
        if path.name != "own_collections.py"
        for name in re.findall(r'"(_bolide_\w+)"', path.read_text())
    }
    assert named.keys() == _NEVER_MADE, "put the name into OWN_COLLECTIONS, and import it"


def test_each_name_is_in_the_list() -> None:
    text = Path(own.__file__).read_text()
    assert set(re.findall(r'"(_bolide_\w+)"', text)) == OWN_COLLECTIONS
