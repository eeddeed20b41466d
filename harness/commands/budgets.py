"""`harness budgets`: tighter budgets from stored runs, written into a scenario whose comments stay."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from harness import runs
from harness.commands._shared.searches import refuse_search
from harness.errors import ExitCode, UsageError, nearest
from harness.judging.suggestions import BudgetSuggestion, suggestions
from harness.measuring import scenario_files
from harness.showing.renderers.terminal import TerminalRenderer
from harness.showing.suggestions_table import suggestions_table

SuggestionMode = Literal["suggest", "ratchet"]


def budgets(
    *,
    names: tuple[str, ...],
    mode: SuggestionMode,
    scenario_name: str | None,
    only: tuple[str, ...],
    timed: bool,
    output: Path,
) -> ExitCode:
    records = [runs.load_record(runs.find(name, output)) for name in names]
    for record in records:
        refuse_search(record, "says nothing of other budgets")
    path = scenario_files.find(scenario_name) if scenario_name else None
    written = _budgets_of(path) if path else list(records[0].scenario.get("budgets", []))
    if not written:
        raise UsageError(f"{path or records[0].run_id} has no budget to tighten. Write one, such as query.p95 <= 1s.")
    found = suggestions(records, _chosen(written, only), timed=timed)
    click.echo(TerminalRenderer().render_tables([suggestions_table(found)]), nl=False)
    taken = [each for each in found if each.changes and (mode == "suggest" or each.is_tighter)]
    if path and taken:
        runs.replace_file(path, rewritten(path, taken))
        click.echo(f"Wrote {len(taken)} of {len(written)} budgets into {path}.")
    else:
        click.echo(f"{len(taken)} of {len(written)} budgets would change." if not path else "No budget changes.")
    return ExitCode.PASS


def _budgets_of(path: Path) -> list[str]:
    """Raises `UsageError` for a file that cannot be read."""
    return list(scenario_files.load_scenario(str(path)).budgets)


def _chosen(written: Sequence[str], only: Sequence[str]) -> Sequence[str]:
    """Those that begin as is said. Raises `UsageError` for what none begins with."""
    for each in only:
        if not any(text.startswith(each) for text in written):
            raise UsageError(f"--only {each}: there is no such budget. {nearest(each, written)}")
    return [text for text in written if not only or text.startswith(only if isinstance(only, tuple) else tuple(only))]


def rewritten(path: Path, changed: Sequence[BudgetSuggestion]) -> str:
    """The file with other budgets in place of these, and nothing else changed. Raises `UsageError`."""
    before = path.read_text(encoding="utf-8")
    text = before
    for each in changed:
        quoted = [f"{quote}{each.stands}{quote}" for quote in ('"', "'")]
        there = [one for one in quoted if one in text]
        if len(there) != 1 or text.count(there[0]) != 1:
            raise UsageError(f"{path}: {each.stands!r} does not stand there once, as it is. Change it by hand.")
        text = text.replace(there[0], f"{there[0][0]}{each.proposed}{there[0][0]}")
    _refuse_other_changes(path, before, text, changed)
    return text


def _refuse_other_changes(path: Path, before: str, after: str, changed: Sequence[BudgetSuggestion]) -> None:
    """A text may stand in a comment, or in another key."""
    replaced = {each.stands: each.proposed for each in changed}
    expected: dict[str, Any] = tomllib.loads(before)
    expected["budgets"] = [replaced.get(text, text) for text in expected["budgets"]]
    if tomllib.loads(after) != expected:
        raise UsageError(f"{path}: a budget stands there in a way that cannot be changed alone. Change it by hand.")
