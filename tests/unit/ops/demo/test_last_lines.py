"""What processes said, when it is asked for."""

from io import StringIO

from bolide.ops.demo.last_lines import LastLines


def test_only_lines_about_processes_are_written_at_once() -> None:
    out = StringIO()
    lines = LastLines(out, ["node1"])
    lines.say("node1", "a line of the log")
    lines.say("up", "node1 was ended by SIGKILL")
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("up    | node1 was ended by SIGKILL\n")


def test_all_that_was_kept_is_told_in_its_order() -> None:
    out = StringIO()
    lines = LastLines(out, ["node1"])
    for number in range(250):
        lines.say("node1", f"line {number}")
    lines.tell_all()
    told = [line.rpartition("| ")[2] for line in out.getvalue().splitlines()]
    assert told == [f"line {number}" for number in range(50, 250)]
