"""A member: one session that is somewhere."""

from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Member", "Place", "ids_of", "members_of", "written"]

Place: TypeAlias = tuple[str, str]
"""Name of the presence, and topic."""


@dataclass(frozen=True, slots=True)
class Member:
    """A session at a place.

    Attributes:
        id: Of this stay, 17 characters; says nothing about the session.
        place: Where.
        user_id: Who was logged in when it came; None for nobody.
        info: What the app says of it; shared, never to be changed.
    """

    id: str
    place: Place
    user_id: str | None
    info: Any  # of the declared type


# Members as they go from node to node.


def written(member: Member) -> list[Any]:
    """Write a member as a value."""
    return [member.id, *member.place, member.user_id, member.info]


def members_of(values: Any) -> list[Member]:
    """Read a list of members.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(values, list):
        raise ValueError("no list")
    members: list[Any] = values  # pyright: ignore[reportUnknownVariableType]
    return [_member_of(value) for value in members]


def ids_of(values: Any) -> list[str]:
    """Read a list of the ids of members.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(values, list):
        raise ValueError("no list")
    ids: list[Any] = values  # pyright: ignore[reportUnknownVariableType]
    return [str(id) for id in ids]


def _member_of(value: Any) -> Member:
    match value:
        case [str() as id, str() as name, str() as topic, str() | None as user_id, info]:
            return Member(id, (name, topic), user_id, info)
        case _:
            raise ValueError("no member")
