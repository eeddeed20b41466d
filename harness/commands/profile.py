"""`harness profile` and `harness diff`: where the time goes, and what of it changed."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from harness import runs
from harness.errors import ExitCode, UsageError
from harness.failures import failures_of, raise_first
from harness.journal import LOG_FILE
from harness.judging.plan_differences import PlanComparison, compare_plans, plan_side
from harness.judging.profile_differences import ProfileDifference, between, side
from harness.measuring import scenario_files
from harness.measuring.allocations import MISSING, found_memray
from harness.measuring.recording import record_run
from harness.measuring.scenario import ProfileSettings
from harness.record import INTERRUPTED, RunRecord
from harness.showing.plan_tables import plans_table
from harness.showing.profile_tables import (
    allocations_table,
    culprits_table,
    lock_waits_table,
    server_functions_table,
    statement_profile_table,
    waits_table,
)
from harness.showing.renderers.terminal import TerminalRenderer
from harness.signals import ignored

PAGE: Final = "profile.html"


def profile(
    *,
    name: str,
    strategies: str | None,
    rounds: int,
    requests: int,
    control: bool,
    settings: tuple[str, ...],
    database: str | None,
    output: Path,
) -> ExitCode:
    chosen = scenario_files.load_scenario(name, settings=settings, strategies=strategies, database=database)
    timed = chosen.profile or ProfileSettings()
    profiling = timed.model_copy(update={"rounds": rounds, "requests": requests})
    alone = control or chosen.baseline == chosen.candidate
    chosen = chosen.only([chosen.baseline] if alone else [chosen.baseline, chosen.candidate]).model_copy(
        update={"rounds": 0, "budgets": (), "references": (), "control": alone, "profile": profiling}
    )
    directory = output / runs.new_id(f"profile-{chosen.name}", datetime.now(UTC))
    recorded = record_run(chosen, directory)
    record = recorded.record
    with ignored():
        unwritten = failures_of([partial(runs.write_record, directory, record)], directory / LOG_FILE)
    raise_first([recorded.failure, *unwritten])
    if record.interruption == INTERRUPTED:
        raise click.Abort
    before, after = chosen.baseline, chosen.lineup[-1].name
    sides = (record, before), (record, after)
    plans = compare_plans(*(plan_side(*each) for each in sides))
    show_profile(between(*(side(*each) for each in sides)), plans, directory / PAGE, opened=False)
    click.echo(TerminalRenderer().render_tables([statement_profile_table(record, (before, after))]))
    click.echo(f"For other tools: {directory / 'profiles'}")
    if found_memray() is None:
        click.echo(MISSING)
    return ExitCode.PASS


def diff(before: str, after: str | None, variants: str | None, output: Path, *, opened: bool) -> ExitCode:
    directory = runs.find(after or before, output)
    sides = _sides(before, after, variants, output)
    plans = compare_plans(*(plan_side(*each) for each in sides))
    show_profile(between(*(side(*each) for each in sides)), plans, directory / PAGE, opened=opened)
    return ExitCode.PASS


def _sides(before: str, after: str | None, variants: str | None, output: Path) -> list[tuple[RunRecord, str, str]]:
    """Per side its run, its variant, and how a reader knows it from the other."""
    records = [runs.load_record(runs.find(name, output)) for name in (before, after or before)]
    names = [name.strip() for name in variants.split(",")] if variants else _default_variants(records, after)
    if len(names) != 2:  # noqa: PLR2004 -- before and after
        raise UsageError(f"--variants {variants}: expected two names, such as naive,batched.")
    labels = [f"{name} of {record.run_id}" if after else name for name, record in zip(names, records, strict=True)]
    return list(zip(records, names, labels, strict=True))


def _default_variants(records: list[RunRecord], after: str | None) -> list[str]:
    """The ends of one run's ladder, or what each of two runs was about."""
    if after is None:
        return [str(records[0].scenario.get("baseline")), str(records[0].scenario.get("candidate"))]
    return [str(record.scenario.get("candidate")) for record in records]


def show_profile(found: tuple[ProfileDifference, ...], plans: PlanComparison, page: Path, *, opened: bool) -> None:
    if not found:
        raise UsageError("Nothing was profiled on both sides. Make profiles with `harness profile`.")
    from harness.showing.renderers.html.difference import difference_page  # noqa: PLC0415 -- an extra

    runs.replace_file(page, difference_page(found, plans))
    tables = (
        *map(culprits_table, found),
        plans_table(plans),
        waits_table(found),
        lock_waits_table(found),
        server_functions_table(found),
        allocations_table(found),
    )
    click.echo(TerminalRenderer().render_tables(tables))
    click.echo(f"Flame graphs: {page}")
    if opened:
        click.launch(str(page))
