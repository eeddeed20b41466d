"""`harness gate`: whether the working tree costs more than its base, by what is counted: for a pull request."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Final, Literal, cast

import click

from harness import runs
from harness.advice import MARGIN
from harness.children import git
from harness.commands._shared import waiver_files
from harness.commands.compare import (
    WORKER,
    Plan,
    known_revision,
    measured_revisions,
    of_revisions,
    refuse_too_old,
)
from harness.errors import ExitCode, UsageError
from harness.failures import raise_first
from harness.judging.comparison import Comparison
from harness.judging.gate import doubted_places, gate_recalls, judge_gate, latency_findings, refuse_unknown_figures
from harness.judging.gate_findings.protocol import GatePair
from harness.judging.waivers import Waiver, Waivers, of_figures
from harness.measuring import scenario_files
from harness.measuring.environment import host, software
from harness.measuring.gating import GatePlan, GateSides, GateWork, gate_plan
from harness.measuring.kept import CountedSide, Kept
from harness.measuring.kept import directory as kept_directory
from harness.measuring.own_revisions import repository
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.recording import record_run
from harness.record import INTERRUPTED, RunRecord, VariantRecord
from harness.showing.gate_report import GATE_FORMS, GateForm, GateReport
from harness.signals import ignored

BASE, CANDIDATE = 0, 1
LATENCY_ROUNDS: Final = 5
"""Of the comparison of latencies: some minutes at most, for changes that are seen in so few."""

LatencyWish = Literal["differ", "always"]
FILES: Final[dict[GateForm, str]] = {"markdown": "gate.md", "json": "gate.json"}


def gate(
    *,
    scenario_name: str,
    base: str,
    variant: str | None,
    environment: str,
    fresh: bool,
    cache: Path | None,
    reports: tuple[str, ...],
    latencies: LatencyWish | None,
    settings: tuple[str, ...],
    database: str | None,
    output: Path,
    waivers_file: Path | None,
) -> ExitCode:
    started = perf_counter()
    waivers = waiver_files.load_waivers(waivers_file)
    asked = [_asked(each) for each in reports]
    chosen = scenario_files.load_scenario(scenario_name, settings=settings, database=database)
    plan = gate_plan(chosen, variant)
    sides = sides_of(plan, base, environment)
    kept = Kept.opened(cache or kept_directory(), lambda said: click.echo(f"note: {said}", err=True))
    accepted = of_figures(waiver_files.not_in_base(waivers, waivers_file, sides.base.commit), chosen.name)
    refuse_unknown_figures(accepted, chosen.subjects)
    known = None if fresh else kept.counts(key_of(plan, sides.base.commit))
    gating = Gating(plan, sides, kept, known, accepted)
    record, directory = gating.measured(output)
    report = gating.report(record, perf_counter() - started)
    if latencies == "always" or (latencies == "differ" and report.verdict.findings):
        asked_of = Plan(scenario_name, (*settings, f"rounds={LATENCY_ROUNDS}"), database)
        compared = compared_latencies(asked_of, sides, variant, output)
        report = gating.report(record, perf_counter() - started, compared)
    with ignored():
        runs.write_record(directory, record)
        for form, file in FILES.items():
            runs.replace_file(directory / file, GATE_FORMS[form](report))
        for form, path in asked:
            runs.replace_file(path, GATE_FORMS[form](report))
    click.echo(f"Report: {directory / FILES['markdown']}", err=True)
    click.echo(GATE_FORMS["terminal"](report), nl=False)
    return report.exit_code


def _asked(text: str) -> tuple[GateForm, Path]:
    form, equals, path = text.partition("=")
    if form not in GATE_FORMS or not equals or not path:
        raise UsageError(f"--report {text}: expected FORMAT=PATH. The formats are {', '.join(GATE_FORMS)}.")
    if Path(path).is_dir():
        raise UsageError(f"--report {text}: {path} is a directory. Name a file in it.")
    return cast("GateForm", form), Path(path)


def sides_of(plan: GatePlan, base: str, environment: str) -> GateSides:
    """Raises `UsageError` where there is no git, no such revision, or nothing of it is measured."""
    revision = known_revision(base)
    if isinstance(plan.scenario, OwnScenario):
        return GateSides(revision, repository(plan.scenario), environment)
    refuse_too_old(revision)
    top = Path(git("rev-parse", "--show-toplevel").stdout.removesuffix("\n"))
    if not (top / WORKER).is_file():
        raise UsageError(f"{top} has no {WORKER}: run this in the repository of the memory system, which is measured.")
    return GateSides(revision, top, environment)


def key_of(plan: GatePlan, commit: str) -> str:
    """Of what was counted of a commit: with the same key it would be counted again as it was."""
    content = [commit, plan.digest, host(), software()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def compared_latencies(plan: Plan, sides: GateSides, variant: str | None, output: Path) -> Comparison:
    """Of the base and the working tree, as `harness compare` of two revisions measures them."""
    chosen, pair = of_revisions((sides.base.commit, commit_of_working_tree()), plan, variant)
    named = replace(pair, baseline=sides.base, candidate=replace(pair.candidate, name=sides.names[CANDIDATE]))
    report, directory = measured_revisions(chosen, named, output, environment=sides.environment, margin=MARGIN)
    click.echo(f"Latencies: {directory / 'report.html'}", err=True)
    return report.comparison


def commit_of_working_tree() -> str:
    """A commit of the tracked files as they are, which no branch knows; HEAD where nothing is changed.

    Raises `UsageError` where git makes none.
    """
    made = git("-c", "user.name=harness", "-c", "user.email=harness@localhost", "stash", "create")
    if made.returncode:
        raise UsageError(f"--latencies: git cannot make a commit of the working tree: {made.stderr.strip()}")
    return made.stdout.strip() or "HEAD"


@dataclass(frozen=True, slots=True)
class Gating:
    """A gate with what is known of its base."""

    plan: GatePlan
    sides: GateSides
    kept: Kept
    known: CountedSide | None
    waivers: Waivers = field(default_factory=dict[str, Waiver])

    @property
    def pairs(self) -> Sequence[GatePair]:
        return [
            GatePair(place.name, self.sides.variant(BASE, place.name), self.sides.variant(CANDIDATE, place.name))
            for place in self.plan.places
        ]

    def measured(self, output: Path) -> tuple[RunRecord, Path]:
        """The record with both sides, and where it lies. What was counted of the base is kept."""
        measured = (CANDIDATE,) if self.known else (BASE, CANDIDATE)
        directory = output / runs.new_id(f"gate-{self.plan.scenario.name}", datetime.now(UTC))
        work = GateWork(self.plan, self.sides, measured, self.kept, self._doubted)
        names = [pair_side for pair in self.pairs for pair_side in (pair.base, pair.candidate)]
        declared = {
            "strategies": names,
            "baseline": names[0],
            "candidate": names[1],
            "polled_tables": self.plan.scenario.polled_tables,
        }
        recorded = record_run(self.plan.scenario, directory, work, declared=declared, brief=True)
        raise_first([recorded.failure])
        if recorded.record.interruption == INTERRUPTED:
            raise click.Abort
        if self.known is None:
            key = key_of(self.plan, self.sides.base.commit)
            self.kept.keep_counts(key, CountedSide(variants=self._base_of(recorded.record)))
        return self._whole(recorded.record), directory

    def _doubted(self, record: RunRecord) -> frozenset[str]:
        return doubted_places(self._whole(record), self.pairs)

    def _base_of(self, record: RunRecord) -> tuple[VariantRecord, ...]:
        """The first round of it, under names without the revision's, which has several."""
        names = {pair.base: pair.place for pair in self.pairs}
        return tuple(
            _first_round(each).model_copy(update={"name": names[each.name]})
            for each in record.variants
            if each.name in names
        )

    def _whole(self, record: RunRecord) -> RunRecord:
        """With what is known of the base before what was measured of it here."""
        if self.known is None:
            return record
        found = {each.name: each for each in record.variants}
        for known in self.known.variants:
            name = self.sides.variant(BASE, known.name)
            now = found.get(name)
            found[name] = known.model_copy(
                update={
                    "name": name,
                    "samples": (*known.samples, *(now.samples if now else ())),
                    "phases": (*known.phases, *(now.phases if now else ())),
                }
            )
        return record.model_copy(update={"variants": tuple(found.values())})

    def report(self, record: RunRecord, elapsed_s: float, compared: Comparison | None = None) -> GateReport:
        remarks = [self.plan.remark, self._unchanged()]
        remarks += [each.sentence for each in gate_recalls(record, self.pairs) if each.candidate is not None]
        remarks += [f"Latencies, both sides in turn: {compared.sentence}"] if compared else []
        return GateReport(
            self.plan.scenario.name,
            record.run_id,
            *self.sides.names,
            judge_gate(record, self.pairs, self.waivers, latency_findings(compared.metrics) if compared else ()),
            len(self.plan.places),
            elapsed_s,
            tuple(filter(None, remarks)),
        )

    def _unchanged(self) -> str:
        changed = git("diff", "--quiet", self.sides.base.commit, "--").returncode
        if changed:
            return ""
        return f"The working tree is as {self.sides.base}: name what a change is held against with --base."


def _first_round(variant: VariantRecord) -> VariantRecord:
    return variant.model_copy(
        update={
            "samples": tuple(each for each in variant.samples if each.round == 1),
            "phases": tuple(each for each in variant.phases if each.round == 1),
        }
    )
