"""RunRecord: what was measured, and nothing that was concluded from it.

Everything that judges or renders reads only this, so an old run can be judged and rendered again.
All times are seconds; `_s` values of a sample are offsets from the start of its variant's timed pass.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

SCHEMA_VERSION: Final = 1

Loop = Literal["open", "closed"]
"""Whether requests start on a schedule, or when their user has an answer to the last one."""

INTERRUPTED: Final = "interrupted"
"""The `interruption` of a run that a person or a signal ended; any other text says what went wrong."""


PLAN_STEPS_MAX: Final = 200
PLAN_DEPTH_MAX: Final = 40


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(Frozen):
    """One request. `phase` is the name of its phase; `stage` counts from 0 where the phase has stages.

    `scheduled` says that the start was set before, in an open loop.
    """

    operation: str
    round: int
    phase: str = ""
    stage: int | None = None
    scheduled: bool = False
    intended_s: float
    started_s: float
    ended_s: float
    error: str | None = None
    first_time_text: bool | None = None
    embedding: str | None = None
    elapsed_s: dict[str, float] | None = None
    calls: dict[str, int] | None = None
    statements: int | None = None
    round_trips: int | None = None
    rows: int | None = None
    results: int | None = None
    promotions: int | None = None
    server_s: float | None = None

    @property
    def service_time_s(self) -> float:
        """What the system took."""
        return self.ended_s - self.started_s

    @property
    def response_time_s(self) -> float:
        """What a user waited: a start that the load generator was late with is waited for too."""
        return self.ended_s - self.intended_s

    @property
    def latency_s(self) -> float:
        """What budgets and tables mean by latency: response time of scheduled starts, service time of others."""
        return self.response_time_s if self.scheduled else self.service_time_s

    @property
    def lateness_s(self) -> float:
        """The load generator's own delay."""
        return self.started_s - self.intended_s


class StageRecord(Frozen):
    """Part of a phase: `start_s` after the phase began, on the way to this many users or starts a second."""

    start_s: float
    users: float | None = None
    rate_per_s: float | None = None


class LevelsRecord(Frozen):
    """What went up and down at a target, as it was read now and then: each of `values` has one number per `at_s`.

    `at_s` are offsets from the start of the variant's timed pass. `background_queued` is work that was accepted and not
    done; of the pool's connections, `pool_in_use` were in use, and `pool_waiting` callers waited for one.
    """

    at_s: tuple[float, ...]
    values: dict[str, tuple[float, ...]]


class PhaseRecord(Frozen):
    """What one phase set out to send in one round, and what became of it.

    `users` is the most of them in a closed loop. `rate_per_s_target` and `planned` are of an open one: its mean rate,
    and how many starts it planned. `dropped` of these would have exceeded the cap on requests in flight. The load
    generator had so many `processes`. `started_s` and `ended_s` are offsets from the start of the variant's timed pass
    of this round; the end is the last answer's. `counters` are what probes counted, by the names that they give;
    `uncounted` says why others are not among them. `levels` are of a target in the one process that sent all requests.
    `drain_s` is how long the background work that the phase had left behind went on after it.
    """

    name: str
    workload: str
    round: int
    arrival: str
    loop: Loop
    users: int | None = None
    rate_per_s_target: float | None = None
    planned: int | None = None
    processes: int = 1
    started: int
    dropped: int = 0
    started_s: float
    ended_s: float
    stages: tuple[StageRecord, ...] = ()
    counters: dict[str, float] = {}
    uncounted: dict[str, str] = {}
    levels: LevelsRecord | None = None
    drain_s: float | None = None


class DisruptionRecord(Frozen):
    """What a timeline did to the database in one round, or was to do: `started_s` is None where its phase ended before.

    `planned_s` counts from the begin of the phase. `started_s` and `ended_s`, when the database was as before again,
    are offsets from the start of the variant's timed pass; without an end it could not be mended, and the run failed.
    """

    round: int
    phase: str
    action: str
    planned_s: float
    started_s: float | None = None
    ended_s: float | None = None


class ServerStatement(Frozen):
    """What `pg_stat_statements` counted of one statement: all `calls` of it together, blocks of 8 KiB.

    `query_id` is the server's number for it; `text` has `$1` for each constant, and is cut where it is long.
    """

    query_id: int
    text: str
    calls: int
    rows: int
    elapsed_ms: float
    blocks_hit: int
    blocks_read: int
    wal_bytes: int


class LockWaitRecord(Frozen):
    """In how many looks at the server a statement waited for a lock that another session held.

    `state` is that session's: `active`, or `idle in transaction` after the statement `holding`.
    """

    waiting: str
    lock: str
    holding: str
    state: str
    looks: int


class ProfileRecord(Frozen):
    """One variant's operation in one round of the profiling pass, which nothing of the timed pass is taken from.

    `stacks` maps frames, separated by `;` and the outermost first, to seconds in all `requests`. `profiled_s` and
    `plain_s` are the mean service times with the profiler and without, of alternating halves of one list of requests.
    `waits` counts in how many looks at the server a session of the variant waited for what, or used the processor.
    `server_statements` is empty where the server does not count them.
    """

    variant: str
    operation: str
    round: int
    requests: int
    profiled_s: float
    plain_s: float
    stacks: dict[str, float] = {}
    waits: dict[str, int] = {}
    lock_waits: tuple[LockWaitRecord, ...] = ()
    server_statements: tuple[ServerStatement, ...] = ()


class BackgroundRecord(Frozen):
    """Work done after responses, per kind."""

    kind: str
    count: int
    failures: int
    statements: int
    round_trips: int


class StepExecution(Frozen):
    """What one step of a plan came to, the steps below it included: all `loops` of it together.

    `blocks` are of 8 KiB, wherever they were found.
    """

    rows: float
    loops: int
    elapsed_ms: float
    blocks: int


class PlanStep(Frozen):
    """One step of a plan, above those that it takes its rows from; an empty text says that the step has no such thing.

    `node_type`, `join_type` and `strategy` are EXPLAIN's words. `relation` is what is read or written: a table, a
    function or a part of the statement by its name. `role` is that of a part which is planned by itself, such as
    `CTE candidates`. `omitted` counts the steps below this one that the record has no room for.
    """

    node_type: str
    join_type: str = ""
    strategy: str = ""
    relation: str = ""
    index: str = ""
    access_method: str = ""
    role: str = ""
    is_parallel: bool = False
    rows_estimated: float = 0
    executed: StepExecution | None = None
    omitted: int = 0
    steps: tuple["PlanStep", ...] = ()

    def walk(self) -> Iterator["PlanStep"]:
        """This step and all below it, each before those that it takes its rows from."""
        yield self
        for step in self.steps:
            yield from step.walk()

    @property
    def depth(self) -> int:
        return 1 + max((step.depth for step in self.steps), default=0)


class PlanRecord(Frozen):
    """How a statement is executed: the indexes that its plan uses, and the tables of which it reads every row.

    `root` is the last step of the plan; None in records that are older than it.
    """

    statement: str
    indexes: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    root: PlanStep | None = None

    @property
    def access_methods(self) -> frozenset[str]:
        """The kinds of the indexes that it uses, such as `btree` and `hnsw`."""
        return (
            frozenset(step.access_method for step in self.root.walk() if step.access_method)
            if self.root
            else frozenset()
        )

    @field_validator("root")
    @classmethod
    def _within_limits(cls, root: PlanStep | None) -> PlanStep | None:
        """A record may come from elsewhere, and a page shows all of a plan."""
        if root and (root.depth > PLAN_DEPTH_MAX or sum(1 for _ in root.walk()) > PLAN_STEPS_MAX):
            raise ValueError(f"a plan has at most {PLAN_STEPS_MAX} steps, {PLAN_DEPTH_MAX} deep")
        return root


class StatementProfile(PlanRecord):
    """One statement of a variant, executed once by itself after the last round of the profiling pass.

    Its times are the server's own, without the network; `blocks_hit` and `blocks_read` are of 8 KiB. `query_id`, where
    the server has numbers for statements, is that by which `server_statements` of profiles know it.
    """

    variant: str
    query_id: int | None = None
    planning_ms: float
    execution_ms: float
    rows: int
    blocks_hit: int
    blocks_read: int
    wal_bytes: int


class VariantRecord(Frozen):
    """One variant's timed passes. `phases` holds one entry for each phase and round that came to its end.

    A control is the variant that it names, measured again: what differs between the two is noise. `plans` are those of
    its statements before the timed pass. `recalls` are shares, one per sampled query, of exact search's results that it
    found. Both are of its last round.

    `served` is how many requests its server says that it answered, by operation and status; of all its rounds.
    """

    name: str
    description: str
    schema_version: int
    control_of: str | None = None
    in_process: bool = True
    samples: tuple[Sample, ...] = ()
    phases: tuple[PhaseRecord, ...] = ()
    disruptions: tuple[DisruptionRecord, ...] = ()
    plans: tuple[PlanRecord, ...] = ()
    recalls: tuple[float, ...] = ()
    cache: dict[str, float] = {}
    pool: dict[str, float] = {}
    served: dict[str, int] = {}
    background: tuple[BackgroundRecord, ...] = ()
    drain_s: float | None = None
    complete: bool = False

    @model_validator(mode="before")
    @classmethod
    def _without_users(cls, values: object) -> object:
        """Records that are older than phases name users per workload, which their scenario says as well."""
        if isinstance(values, dict):
            return {key: value for key, value in cast("dict[str, object]", values).items() if key != "users"}
        return values


class EnvironmentRecord(Frozen):
    """Where the run happened: what must be alike before two runs are compared."""

    host: dict[str, str]
    software: dict[str, str]
    server: dict[str, Any]


class ComparisonSettings(Frozen):
    """What a run was to compare: two of its variants, and the share that a change has to exceed to matter."""

    baseline: str
    candidate: str
    margin: float


class Resumption(Frozen):
    """When a run that had ended before its time went on, and how many samples of a pass that was cut off were left out.

    That pass was measured again as a whole, on a fresh clone. Its first samples are in the journal only.
    """

    at: datetime
    interruption: str
    discarded: dict[str, int] = {}


class RunRecord(Frozen):
    """A whole run. `state` is `partial` unless every variant ended; `interruption` says why it is not complete.

    `looks` are the times at which the run was looked at to see whether it may end: how many samples each variant had.
    A run that was to end with its planned rounds has none. `aborted_by` is the budget that ended it early, if one did.
    `comparison` is what it was made to compare; a run without it is judged by its budgets.
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
    profiles: tuple[ProfileRecord, ...] = ()
    statement_profiles: tuple[StatementProfile, ...] = ()
    looks: tuple[dict[str, int], ...] = ()
    aborted_by: str | None = None
    resumptions: tuple[Resumption, ...] = ()
    comparison: ComparisonSettings | None = None
