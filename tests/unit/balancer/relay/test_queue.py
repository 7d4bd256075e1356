from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.relay.queue import Queue


def make(names: list[str], queue: Queue, name: str, *, is_here: bool = True) -> bool:
    def go_on() -> bool:
        if is_here:
            names.append(name)
        return is_here

    return queue.put(go_on, lambda: names.append(f"{name} gave up"))


def test_who_came_first_goes_on_first() -> None:
    names: list[str] = []
    queue = Queue(EventLoop(), max_length=3, timeout_s=10)
    for name in "abc":
        assert make(names, queue, name)
    queue.release()
    queue.release()
    assert names == ["a", "b"]
    assert len(queue) == 1


def test_who_left_takes_nobodys_turn() -> None:
    names: list[str] = []
    queue = Queue(EventLoop(), max_length=3, timeout_s=10)
    make(names, queue, "a", is_here=False)
    make(names, queue, "b")
    queue.release()
    assert names == ["b"]


def test_one_too_many_is_told() -> None:
    names: list[str] = []
    queue = Queue(EventLoop(), max_length=1, timeout_s=10)
    assert make(names, queue, "a")
    assert not make(names, queue, "b")


def test_waiting_ends() -> None:
    names: list[str] = []
    loop = EventLoop()
    queue = Queue(loop, max_length=1, timeout_s=0)
    make(names, queue, "a")
    loop.call_later(0, loop.stop)
    loop.run()
    assert names == ["a gave up"]
    assert not len(queue)
