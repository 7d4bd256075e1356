"""The registry of methods: one name, one handler."""

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server.methods.registry import Methods


async def move(ctx: object, bed: int) -> None: ...
async def note(ctx: object) -> None: ...


def test_a_method_is_found_by_its_name() -> None:
    methods = Methods()
    added = methods.add("move", move, is_public=True)
    assert methods.find("move") is added
    assert methods.find("note") is None
    assert (added.name, added.handler, added.is_public) == ("move", move, True)
    assert added.arguments.bind([7]) == [7]


def test_a_name_is_taken_once() -> None:
    methods = Methods()
    methods.add("move", move)
    with pytest.raises(ConfigurationError) as caught:
        methods.add("move", note)
    assert str(caught.value) == (
        f"The handler of the method move is '{__name__}.note', but must be"
        f" the only one: {__name__}.move has the name already."
    )


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one character"):
        Methods().add("", move)
