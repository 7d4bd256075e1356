"""What the value of a setting may be."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final, cast

from bolide.balancer.members.address import ADDRESS_FORM, parse_address
from bolide.core.identity import MAX_NAME_LENGTH, is_name

__all__ = [
    "ADDRESS",
    "ADDRESSES",
    "COUNT",
    "LIMIT",
    "NAME",
    "NETWORKS",
    "PATH",
    "PATHS",
    "PORT",
    "SECONDS",
    "SECONDS_OR_ZERO",
    "SWITCH",
    "TEXT",
    "URL_PATH",
    "WEIGHT",
    "WHOLE_SECONDS",
    "WHOLE_SECONDS_OR_ZERO",
    "Kind",
    "choice",
]

_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting may be.

    Attributes:
        convert: Makes the setting of a TOML value; raises ValueError.
        expected: The end of a sentence.
        is_path: Whether the text is the path of a file, or a list of them.
    """

    convert: Callable[[Any], Any]
    expected: str
    is_path: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _name(value: Any) -> str:
    if not is_name(_text(value)):
        raise ValueError
    return cast("str", value)


def _whole(least: int, most: float = math.inf) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError
        return value

    return convert


def _number(*, zero: bool) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError
        if not (0 < value < math.inf or (zero and value == 0)):
            raise ValueError
        return float(value)

    return convert


def _each(convert: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def convert_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError
        return tuple(convert(item) for item in cast("Sequence[Any]", value))

    return convert_all


def _address(value: Any) -> Any:
    return parse_address(_text(value))


def _network(value: Any) -> str:
    return str(ip_network(_text(value)))


def _url_path(value: Any) -> str:
    if not re.fullmatch(r"/[!-~]*", _text(value)) or "#" in value:
        raise ValueError
    return cast("str", value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def choice(*words: str) -> Kind:
    """Return the kind of a setting that is one of these words."""

    def convert(value: Any) -> Any:
        if value not in words:
            raise ValueError
        return value

    return Kind(convert, " or ".join(f'"{word}"' for word in words))


ADDRESS: Final = Kind(_address, ADDRESS_FORM)
ADDRESSES: Final = Kind(_each(_address), 'a list of hosts with ports, such as ["0.0.0.0:443"]')
COUNT: Final = Kind(_whole(0), "a whole number, 0 or more")
LIMIT: Final = Kind(_whole(1), "a whole number above 0")
NAME: Final = Kind(
    _name,
    f"a name of small letters, digits, dots and hyphens, {MAX_NAME_LENGTH} characters at most",
)
NETWORKS: Final = Kind(_each(_network), 'a list of networks, such as ["10.0.0.0/8"]')
PATH: Final = Kind(_text, "the path of a file", is_path=True)
PATHS: Final = Kind(_each(_text), "a list of paths of files", is_path=True)
PORT: Final = Kind(_whole(1, _HIGHEST_PORT), "a port, 1 to 65535")
SECONDS: Final = Kind(_number(zero=False), "a number of seconds above 0")
SECONDS_OR_ZERO: Final = Kind(_number(zero=True), "a number of seconds, 0 or more")
SWITCH: Final = Kind(_switch, "true or false")
TEXT: Final = Kind(_text, "a text that is not empty")
URL_PATH: Final = Kind(_url_path, "a path such as /readyz")
WEIGHT: Final = Kind(_number(zero=True), "a number, 0 or more")
WHOLE_SECONDS: Final = Kind(_whole(1), "a whole number of seconds above 0")
WHOLE_SECONDS_OR_ZERO: Final = Kind(_whole(0), "a whole number of seconds, 0 or more")
