"""What a test and a crowd in another process say to each other, one JSON object a line."""

import msgspec

__all__ = ["Answer", "Calls", "Happened", "Order", "Plan"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Who connects where; the first line of all.

    Attributes:
        url: Of the balancer.
        ca: PEM file with the authority of its certificate.
        wards: Name of a person -> what it looks at.
        run_s: Time between two calls of a person that write.
        ask_s: Time between two that do not.
    """

    url: str
    ca: str
    wards: dict[str, str]
    run_s: float
    ask_s: float


class Order(msgspec.Struct, frozen=True):
    """What a crowd is to do; it answers when that is done.

    Attributes:
        do: ``call`` begins to call, ``count`` does nothing, ``stop`` ends all calls, ``show`` waits
            until everybody is shown something.
        cells: Ward -> number that its cell shows.
    """

    do: str
    cells: dict[str, int] = {}


class Calls(msgspec.Struct, frozen=True):
    """Calls of a person that write.

    Attributes:
        called: Their numbers are 1 to this.
        unknown: Those whose outcome nobody told.
    """

    called: int
    unknown: list[int]


class Answer(msgspec.Struct, frozen=True, tag=True):
    """An order was carried out.

    Attributes:
        messages: How many everybody sent and received until now.
        slowest_s: The longest that a call took since the last order.
        calls: Name of a person -> its calls; only after ``stop``.
    """

    messages: int
    slowest_s: float
    calls: dict[str, Calls] = {}


class Happened(msgspec.Struct, frozen=True, tag=True):
    """Something happened to a person.

    Attributes:
        name: To whom.
        what: ``session`` and its node, ``lost`` and why, ``back``, or ``failed`` and the error of a
            call.
        detail: See there.
        at: Monotonic time, seconds, which is that of all processes of the machine.
    """

    name: str
    what: str
    detail: str
    at: float
