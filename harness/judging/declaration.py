"""Says what a run set out to do: the part of its scenario that judging and rendering read.

Tolerant on purpose: a record of an older or another scenario is still rendered, without the parts that it lacks.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from harness.errors import UsageError
from harness.mistakes import first_mistake
from harness.record import RunRecord


class Reference(BaseModel):
    """A figure to stand beside a measured one, such as "the guide says 3-8 s before the fixes".

    A range has both ends, a single figure has them equal, a target has only `high_s`. `statistic` None compares a
    target with p95 and everything else with p50. `text` compares only requests with known or first-time texts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    operation: str
    variant: str
    table: str = "Reference"
    label: str = ""
    low_s: float | None = None
    high_s: float | None = None
    statistic: Literal["p50", "p95"] | None = None
    text: Literal["known", "first"] | None = None


class DeclaredPhase(BaseModel):
    """`time_s` bounds when its last request starts, and `arrival` says by whom or when."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    time_s: float | None = None
    arrival: dict[str, object] = {}
    counted_only: bool = False
    cache: str | None = None

    @property
    def users(self) -> int | None:
        """Says how many wait for answers, where it is a closed loop of a fixed number."""
        users = self.arrival.get("users")
        return users if isinstance(users, int) else None


class DeclaredSampling(BaseModel):
    """Says how long the run may go on beyond its planned rounds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time_s_max: float = 0.0


class DeclaredLatency(BaseModel):
    """Says how far away the database was put."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    database_rtt_ms: float = 0.0


def _names(operations: object) -> object:
    """A scenario of somebody's own operations says by their names what each of them does."""
    return list(cast("dict[str, object]", operations)) if isinstance(operations, dict) else operations


class Declaration(BaseModel):
    """Says what a run set out to do; a key that its record lacks has the default."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    """The name of the scenario."""
    title: str = ""
    """The heading of a report."""
    description: str = ""
    """What the run is for."""
    expectations: str = ""
    """What its author expects of the figures."""
    strategies: tuple[str, ...] = ()
    """The rungs of the ladder in order."""
    baseline: str | None = None
    """The variant that others are compared with; None is the ladder's first."""
    candidate: str | None = None
    """The variant that is compared with it; None is the ladder's last."""
    operations: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    """The names of the operations that phases perform."""
    budgets: tuple[str, ...] = ()
    """The budgets as their author wrote them."""
    references: tuple[Reference, ...] = ()
    """Figures from elsewhere, to stand beside measured ones."""
    rounds: int = 1
    """How many rounds were planned."""
    slices: int = 1
    """Into how many parts phases were cut, at which variants took turns; 1 means that they did not."""
    phases: tuple[DeclaredPhase, ...] = ()
    """What was asked, one phase after the other."""
    planned: dict[str, dict[str, int]] = {}
    """How many requests of each operation each phase has in one round."""
    recall_queries: int = 0
    """How many queries of each variant were to be held against exact search; 0 means none."""
    sampling: DeclaredSampling = DeclaredSampling()
    """How long the run may go on beyond its planned rounds."""
    latency: DeclaredLatency = DeclaredLatency()
    """How far away the database was put."""

    @property
    def pair(self) -> tuple[str, ...]:
        """Baseline and candidate, as far as they are known."""
        return tuple(name for name in (self.baseline, self.candidate) if name is not None)


def declare(scenario: Mapping[str, object]) -> Declaration:
    """Reads a scenario as a record keeps it. Raises `UsageError` that names the entry which cannot be read."""
    try:
        return Declaration.model_validate(scenario)
    except ValidationError as error:
        raise UsageError(f"scenario: {first_mistake(error)}. Correct it in the scenario or in the record.") from None


def declaration_of(record: RunRecord) -> Declaration:
    """The declaration with the ladder's ends filled in from what was run."""
    declared = declare(record.scenario)
    ladder = declared.strategies or tuple(variant.name for variant in record.variants)
    return declared.model_copy(
        update={
            "strategies": ladder,
            "baseline": declared.baseline or (ladder[0] if ladder else None),
            "candidate": declared.candidate or (ladder[-1] if ladder else None),
        }
    )
