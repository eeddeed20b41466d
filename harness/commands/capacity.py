"""`harness capacity`: the highest rate at which all budgets of a scenario hold, what breaks first, what saturated."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from harness import journal, runs
from harness.commands._shared import report_files
from harness.commands._shared.chosen import chosen_scenario, without_others_budgets
from harness.commands._shared.github_actions import announce
from harness.errors import ExitCode
from harness.failures import failures_of, raise_first
from harness.judging.analysis import ready
from harness.judging.capacity import CapacitySearch, capacity_phases
from harness.measuring.rates import execute_rates, refuse_unasked
from harness.measuring.recording import record_run
from harness.measuring.scenario import Scenario
from harness.record import CapacitySettings
from harness.showing.report import report_of
from harness.signals import ignored


def capacity(
    *,
    name: str,
    strategies: str | None,
    phase: str | None,
    start: float | None,
    within: float,
    seconds: float,
    in_flight: int | None,
    settings: tuple[str, ...],
    reports: tuple[str, ...],
    database: str | None,
    output: Path,
    everything: bool,
) -> ExitCode:
    asked = [report_files.asked_report(each) for each in reports]
    chosen = _searched(chosen_scenario(name, settings, strategies, database), compared=strategies is not None)
    phases = capacity_phases(chosen.model_dump(mode="json"), phase)
    refuse_unasked(chosen, phases)
    made_for = CapacitySettings(
        phases=phases,
        start_per_s=start,
        within=within / 100,
        time_s=seconds,
        in_flight_max=in_flight,
        compared=len(chosen.variant_names) > 1,
    )
    directory = output / runs.new_id(f"capacity-{chosen.name}", datetime.now(UTC))
    ready()  # Judging must not begin with an import while something is measured beside.
    work = partial(execute_rates, steering=CapacitySearch(), in_flight_max=in_flight)
    recorded = record_run(chosen, directory, work, made_for=made_for, brief=True)
    report = report_of(recorded.record)
    with ignored():
        unwritten = report_files.write(directory, report, asked)
    shown = (
        partial(announce, report),
        partial(report_files.show_report, report, directory, everything=everything),
    )
    raise_first([recorded.failure, *unwritten, *failures_of(shown, directory / journal.LOG_FILE)])
    return report.exit_code


def _searched(chosen: Scenario, *, compared: bool) -> Scenario:
    """With the variants whose capacity is wanted: those that are named, or the candidate."""
    return chosen if compared else without_others_budgets(chosen.only([chosen.candidate]))
