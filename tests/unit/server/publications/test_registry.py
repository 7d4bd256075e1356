"""The registry of publications: one name, one handler."""

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server.publications.registry import Publications


async def beds(ctx: object, ward: str) -> None: ...
async def patients(ctx: object) -> None: ...


def test_a_publication_is_found_by_its_name() -> None:
    publications = Publications()
    added = publications.add("beds", beds)
    assert publications.find("beds") is added
    assert publications.find("notes") is None
    assert (added.name, added.handler, added.is_public) == ("beds", beds, False)
    assert added.arguments.bind(["w7"]) == ["w7"]
    assert publications.universal == ()


def test_universal_publications_keep_their_order() -> None:
    publications = Publications()
    first = publications.add(None, patients, is_public=True)
    second = publications.add(None, patients)
    assert list(publications.universal) == [first, second]
    assert first.is_public


def test_a_universal_publication_takes_no_arguments() -> None:
    with pytest.raises(ConfigurationError, match=r"beds', but must be without arguments"):
        Publications().add(None, beds)


def test_a_name_is_taken_once() -> None:
    publications = Publications()
    publications.add("beds", beds)
    with pytest.raises(ConfigurationError) as caught:
        publications.add("beds", patients)
    assert str(caught.value) == (
        f"The handler of the publication beds is '{__name__}.patients', but must be"
        f" the only one: {__name__}.beds has the name already."
    )


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one character"):
        Publications().add("", beds)
