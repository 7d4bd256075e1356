"""Look at a balancer again and again, over its management socket."""

import asyncio
from pathlib import Path

import msgspec

from bolide.balancer.management.overview import BalancerOverview
from bolide.ops.balancer.management import BalancerAway, BalancerRefused, ask
from bolide.ops.balancer_top.rates import compare
from bolide.ops.balancer_top.view import BalancerView

__all__ = ["look", "watch_balancer"]


def look(place: Path) -> BalancerOverview:
    """Ask for an overview.

    Args:
        place: Of the management socket.

    Raises:
        BalancerAway: If nobody answers.
        BalancerRefused: If the answer is none that this version understands.
    """
    try:
        return msgspec.convert(ask(place, "/top"), BalancerOverview)
    except msgspec.ValidationError:
        text = "The balancer answers in a way that this version of Bolide does not understand."
        raise BalancerRefused(text) from None


async def watch_balancer(place: Path, view: BalancerView, *, interval_s: float) -> None:
    """Show a balancer until cancelled, whether it goes on answering or not.

    Args:
        place: Of its management socket.
        view: Where it is shown; entered when there is a first answer.
        interval_s: From one question to the next, seconds.

    Raises:
        BalancerAway: If there is no first answer.
        BalancerRefused: If the answer is none that this version understands.
    """
    before = await asyncio.to_thread(look, place)
    with view.screen:
        view.show(compare(None, before))
        while True:
            await asyncio.sleep(interval_s)
            try:
                now = await asyncio.to_thread(look, place)
            except (BalancerAway, BalancerRefused) as error:
                view.fail(str(error))
                continue
            view.show(compare(before, now))
            before = now
