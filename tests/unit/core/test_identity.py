import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.core.identity import (
    MAX_NAME_LENGTH,
    ROLES,
    BadIdentity,
    Identity,
    identity_of,
    is_name,
    parse_identity,
)

_NAMES = st.from_regex(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?", fullmatch=True)


@given(_NAMES, st.sampled_from(ROLES), _NAMES)
def test_what_is_written_is_read_again(cluster: str, role: str, name: str) -> None:
    uri = f"bolide://{cluster}/{role}/{name}"
    assert str(parse_identity(uri)) == uri


@given(st.text())
def test_whatever_is_read_is_written_the_same(text: str) -> None:
    try:
        identity = parse_identity(text)
    except BadIdentity:
        return
    assert str(identity) == text


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "bolide://ward/node",
        "bolide://ward/node/",
        "bolide:///node/n1",
        "bolide://ward/admin/n1",
        "bolide://ward/Node/n1",
        "Bolide://ward/node/n1",
        "bolide://Ward/node/n1",
        "bolide://ward/node/N1",
        "bolide://ward/node/n1/",
        "bolide://ward/node/n1?x",
        "bolide://ward/node/n1#x",
        "bolide://ward/node/n1\n",
        "bolide://ward/node/n1\0.example",
        "bolide://ward/node/-n1",
        "bolide://ward/node/n1-",
        "bolide://ward/node/n%31",
        "bolide://ward/node/n 1",
        "bolide://ward/node/nö",
        "bolide://user@ward/node/n1",
        "bolide://ward:1/node/n1",
        "bolide://ward/node/../balancer/b1",
        "spiffe://ward/node/n1",
        " bolide://ward/node/n1",
        f"bolide://ward/node/{'n' * (MAX_NAME_LENGTH + 1)}",
    ],
)
def test_another_spelling_is_no_identity(uri: str) -> None:
    with pytest.raises(BadIdentity, match="bolide://CLUSTER/ROLE/NAME"):
        parse_identity(uri)


def test_an_error_repeats_nothing_of_what_was_read() -> None:
    with pytest.raises(BadIdentity) as raised:
        parse_identity("bolide://marked-cluster/marked/marked")
    assert "marked" not in str(raised.value)


@pytest.mark.parametrize(
    ("cluster", "role", "name"),
    [("Ward", "node", "n1"), ("ward", "admin", "n1"), ("ward", "node", "n1/x"), ("", "ops", "a")],
)
def test_what_cannot_be_read_again_is_not_made(cluster: str, role: str, name: str) -> None:
    with pytest.raises(BadIdentity):
        Identity(cluster, role, name)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_name_of_the_longest_length_is_a_name() -> None:
    assert is_name("n" * MAX_NAME_LENGTH)
    assert not is_name("n" * (MAX_NAME_LENGTH + 1))


def test_the_identity_is_the_one_uri_among_other_names() -> None:
    names = (
        ("DNS", "n1.example.org"),
        ("URI", "bolide://ward/node/n1"),
        ("IP Address", "10.0.0.1"),
    )
    assert identity_of(names) == Identity("ward", "node", "n1")


@pytest.mark.parametrize(
    "names",
    [
        (),
        (("DNS", "bolide://ward/node/n1"),),
        (("URI", "bolide://ward/node/n1"), ("URI", "bolide://ward/node/n1")),
        (("URI", "bolide://ward/node/n1"), ("URI", "https://example.org")),
        (("URI", "https://example.org"),),
        (("URI", ("bolide://ward/node/n1",)),),
    ],
)
def test_a_certificate_with_no_uri_or_several_names_nobody(
    names: tuple[tuple[str, object], ...],
) -> None:
    with pytest.raises(BadIdentity):
        identity_of(names)
