"""A run's result as one value: judged once, and what every command and renderer reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.errors import ExitCode
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.capacity import CapacityVerdict, judge_capacity
from harness.judging.comparison import Comparison, judged
from harness.judging.plan_differences import PlanComparison, pair_plans
from harness.judging.profile_differences import ProfileDifference, differences
from harness.judging.verdict import Verdict, judge
from harness.judging.waivers import Waiver
from harness.record import RunRecord
from harness.showing.summary import Summary, summarise


@dataclass(frozen=True)
class Report:
    """A run that is held to its budgets. What takes long to work out is worked out when it is first read, and once."""

    record: RunRecord
    verdict: Verdict

    @classmethod
    def of(cls, record: RunRecord) -> "Report":
        return cls(record, judge(record))

    @property
    def exit_code(self) -> ExitCode:
        return self.verdict.exit_code

    @property
    def outcome(self) -> Outcome:
        return self.verdict.outcome

    @property
    def sentence(self) -> str:
        return self.verdict.sentence

    @cached_property
    def summary(self) -> Summary:
        return summarise(self.record)

    @cached_property
    def plans(self) -> PlanComparison | None:
        """Says how the plans of baseline and candidate differ; None where none were kept, or both are one."""
        return pair_plans(self.record)

    @cached_property
    def profiles(self) -> tuple[ProfileDifference, ...]:
        """Where the time of baseline and candidate went; empty where they were not profiled."""
        return differences(self.record)


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Says what was compared, of one run or of two."""

    comparison: Comparison
    records: tuple[RunRecord, ...]

    @property
    def record(self) -> RunRecord:
        """The run that was made for it, or the candidate's."""
        return self.records[-1]

    @property
    def exit_code(self) -> ExitCode:
        return self.comparison.exit_code

    @property
    def outcome(self) -> Outcome:
        return self.comparison.outcome

    @property
    def sentence(self) -> str:
        return self.comparison.sentence


@dataclass(frozen=True, slots=True)
class CapacityReport:
    """Says what a search for a capacity came to."""

    record: RunRecord
    verdict: CapacityVerdict

    @property
    def exit_code(self) -> ExitCode:
        return self.verdict.exit_code

    @property
    def outcome(self) -> Outcome:
        return self.verdict.outcome

    @property
    def sentence(self) -> str:
        return self.verdict.sentence


AnyReport = Report | ComparisonReport | CapacityReport


def report_of(record: RunRecord, waivers: Sequence[Waiver] = ()) -> AnyReport:
    """As what the run was made for: a search, a comparison, or one that is judged by its budgets.

    With what is accepted of it, but of a search.
    """
    if record.capacity is not None:
        return CapacityReport(record, judge_capacity(record))
    found = judged(record, waivers)
    return ComparisonReport(found, (record,)) if isinstance(found, Comparison) else Report(record, found)
