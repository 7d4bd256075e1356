from bench.figures.results import RowResult, markdown_table


def _fanout() -> RowResult:
    result = RowResult(
        row="fanout", unit="us", reference="node-ws", ours=frozenset({"bolide-memory"})
    )
    for reference, ours in ((10.0, 8.0), (20.0, 10.0), (10.0, 9.0)):
        result.add("node-ws", reference)
        result.add("bolide-memory", ours)
    return result


def test_ratios_are_paired_and_judged_for_our_servers_only() -> None:
    peer, ours = _fanout().lines()
    assert (peer.ratio, peer.goal, peer.verdict) == (None, None, None)
    assert ours.ratio is not None
    assert (ours.ratio.median, ours.verdict) == (0.8, "met")
    assert ours.figure is not None
    assert ours.figure.median == 9.0


def test_a_row_without_reference_is_judged_by_its_figure() -> None:
    result = RowResult(row="memory", unit="kB", reference=None, ours=frozenset({"bolide-memory"}))
    result.add("bolide-memory", 53.5)
    [line] = result.lines()
    assert (line.ratio, line.verdict) == (None, "missed")


def test_a_server_that_was_not_measured_has_a_note_and_no_verdict() -> None:
    result = _fanout()
    result.ours |= {"bolide-sqlite"}
    for _ in range(3):
        result.add("bolide-sqlite", None, "it did not start")
    line = result.lines()[-1]
    assert (line.figure, line.ratio, line.verdict) == (None, None, None)
    assert line.notes == ("it did not start",)


def test_a_failed_round_leaves_the_others() -> None:
    result = _fanout()
    result.add("node-ws", 10.0)
    result.add("bolide-memory", None, "159999 of 160000 messages arrived")
    ours = result.lines()[-1]
    assert ours.ratio is not None
    assert ours.ratio.count == 3
    assert result.rounds == 4


def test_a_result_survives_json() -> None:
    result = _fanout()
    again = RowResult.from_json(result.as_json())
    assert again.lines() == result.lines()


def test_the_markdown_says_goal_ratio_figure_rounds_date_and_commit() -> None:
    result = _fanout()
    result.add("node-ws", None, "1 connections failed")
    result.add("bolide-memory", None)
    table = markdown_table([result], date="2026-11-26", commit="abc1234")
    assert (
        "| fanout | bolide-memory | <= 0.85x (0.6x) | 0.800 [0.650..0.850] x node-ws | met"
        " | 9.00 [8.50..9.50] us | 4 | 2026-11-26 | abc1234 |\n"
    ) in table
    assert "| fanout | node-ws | - | 1 | - |" in table
    assert table.endswith("\n- fanout, node-ws: 1 connections failed.\n")


def test_a_table_without_notes_ends_with_its_last_row() -> None:
    table = markdown_table([_fanout()], date="2026-11-26", commit="abc1234")
    assert table.endswith("| abc1234 |\n")
