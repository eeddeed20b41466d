"""RunRecord: what was measured, and nothing that was concluded from it.

Everything that judges or renders reads only this, so an old run can be judged and rendered again.
All times are seconds; `_s` values of a sample are offsets from the start of its variant's timed pass.
"""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION: Final = 1

INTERRUPTED: Final = "interrupted"
"""The `interruption` of a run that a person or a signal ended; any other text says what went wrong."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(Frozen):
    """One request. Response time is `ended_s - intended_s`, service time `ended_s - started_s`."""

    operation: str
    round: int
    intended_s: float
    started_s: float
    ended_s: float
    error: str | None = None
    first_time_text: bool | None = None
    embedding: str | None = None
    statements: int | None = None
    round_trips: int | None = None
    rows: int | None = None
    results: int | None = None
    promotions: int | None = None

    @property
    def service_time_s(self) -> float:
        return self.ended_s - self.started_s


class BackgroundRecord(Frozen):
    """Work done after responses, per kind."""

    kind: str
    count: int
    failures: int
    statements: int
    round_trips: int


class VariantRecord(Frozen):
    """One variant's timed pass. `users` says per operation how many worked side by side."""

    name: str
    description: str
    schema_version: int
    samples: tuple[Sample, ...] = ()
    users: dict[str, int] = {}
    cache: dict[str, float] = {}
    pool: dict[str, float] = {}
    background: tuple[BackgroundRecord, ...] = ()
    drain_s: float | None = None
    complete: bool = False


class EnvironmentRecord(Frozen):
    """Where the run happened: what must be alike before two runs are compared."""

    host: dict[str, str]
    software: dict[str, str]
    server: dict[str, Any]


class RunRecord(Frozen):
    """A whole run. `state` is `partial` unless every variant ended; `interruption` says why it is not complete.

    `looks` are the times at which the run was looked at to see whether it may end: how many samples each variant had.
    A run that was to end with its planned rounds has none.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    started_at: datetime
    elapsed_s: float
    state: Literal["complete", "partial"]
    interruption: str | None = None
    command: tuple[str, ...]
    scenario: dict[str, Any]
    corpus: dict[str, str | int]
    environment: EnvironmentRecord
    variants: tuple[VariantRecord, ...]
    looks: tuple[dict[str, int], ...] = ()
