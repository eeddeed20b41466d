"""`harness waive`: accepts a regression for some time, in a file of the repository."""

from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from harness.commands._shared.waiver_files import add_waiver
from harness.errors import ExitCode, UsageError
from harness.judging.budgets import parse
from harness.judging.gate import refuse_unknown_figures
from harness.judging.waivers import Waiver, of_figures, refuse_unknown_budgets
from harness.measuring import scenario_files
from harness.mistakes import mistake


def waive(
    *,
    subject: str,
    scenario_name: str,
    reason: str,
    owner: str,
    expires: datetime,
    up_to: str | None,
    is_figure: bool,
    waivers_file: Path | None,
) -> ExitCode:
    chosen = scenario_files.load_scenario(scenario_name)
    day = expires.date()
    if day < datetime.now(UTC).date():
        raise UsageError(f"--expires {day}: that day is over. Name one that is to come.")
    what = {"figure": subject} if is_figure else {"budget": str(parse(subject))}
    try:
        waiver = Waiver(scenario=chosen.name, reason=reason, owner=owner, expires=day, up_to=up_to, **what)
    except ValidationError as error:
        issue = error.errors()[0]
        option = "--" + ".".join(map(str, issue["loc"]))
        raise UsageError(f"{mistake(issue, option)}.") from None
    refuse_unknown_budgets([waiver], chosen.name, chosen.budgets, chosen.variant_names)
    refuse_unknown_figures(of_figures([waiver], chosen.name), chosen.subjects)
    _ = waiver.accepted, waiver.accepted_share
    path = add_waiver(waivers_file, waiver)
    click.echo(f"Wrote it into {path}: {waiver.subject} of {waiver.scenario} may fail until {day}.")
    return ExitCode.PASS
