import re

import pytest

from harness.record import RunRecord
from harness.renderers.terminal import TerminalRenderer
from harness.summary import summarise
from harness.verdict import judge
from tests.records import guide_record, record, samples, variant


def shown(run: RunRecord, *, width: int, colour: bool = False) -> str:
    return TerminalRenderer(width, colour).render(run, summarise(run), judge(run))


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(width: int) -> None:
    text = shown(guide_record(), width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text


def test_the_verdict_comes_first_and_then_what_failed() -> None:
    run = record(
        variant("batched", samples([0.4] * 80)), scenario={"budgets": ["query.p50 <= 1s", "query.p95 <= 300ms"]}
    )
    lines = shown(run, width=120).splitlines()
    assert lines[1].strip() == "FAIL  Of 2 budgets, 1 failed."
    budgets = [line for line in lines if line.startswith(("FAIL ", "PASS "))]
    assert "400 ms > 300 ms (33% over), in 80 requests." in budgets[0]


def test_more_room_shows_more() -> None:
    assert "p95 bounds" in shown(guide_record(), width=80)
    assert "Background work" not in shown(guide_record(), width=80)
    assert "Background work" in shown(guide_record(), width=120)


def test_colour_is_the_callers_choice() -> None:
    assert "\x1b[" in shown(guide_record(), width=80, colour=True)
    assert "\x1b[" not in shown(guide_record(), width=80, colour=False)


def test_nothing_but_colour_differs_between_the_two() -> None:
    coloured = shown(guide_record(), width=100, colour=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown(guide_record(), width=100)
