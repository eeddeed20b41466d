"""RunRecord: what was measured, and nothing that was concluded from it.

Everything that judges or renders reads only this, so an old run can be judged and rendered again.
All times are seconds; samples are those of `harness/samples.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from harness.samples import Sample, SampleColumns

SCHEMA_VERSION: Final = 1

Loop = Literal["open", "closed"]
"""Whether requests start on a schedule, or when their user has an answer to the last one."""

AskedFor = Literal["search", "confirm", "observe"]
"""Why a rate is asked for: to come near to the capacity, to be sure of it, or to see what is waited for there."""

INTERRUPTED: Final = "interrupted"
"""The `interruption` of a run that a person or a signal ended; any other text says what went wrong."""

WHOLE_PASS: Final = "whole pass"  # noqa: S105 -- no password
"""The phase in which is counted what the server tells once the target's sessions have ended."""

PLAN_STEPS_MAX: Final = 200
PLAN_DEPTH_MAX: Final = 40


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageRecord(Frozen):
    """Part of a phase: `start_s` after the phase began, on the way to this many users or starts a second."""

    start_s: float
    users: float | None = None
    rate_per_s: float | None = None


class LevelsRecord(Frozen):
    """Says what went up and down at a target, as it was read now and then: each of `values` has one number per `at_s`.

    `at_s` are offsets from the start of the variant's timed pass. `background_queued` is work that was accepted and not
    done; of the pool's connections, `pool_in_use` were in use, and `pool_waiting` callers waited for one.
    """

    at_s: tuple[float, ...]
    values: dict[str, tuple[float, ...]]


class WorkerRecord(Frozen):
    """Says what became of one worker's part of a phase, and how its host's clock went. Offsets are as a phase's are."""

    worker: int
    """Its number, counted from 0."""
    host: str
    """Where it ran, by the name that reports show."""
    planned: int | None = None
    """How many starts of an open loop were its; None of a closed one."""
    started: int
    """How many requests it started."""
    dropped: int = 0
    """How many starts it left out at its part of the cap."""
    received: int
    """How many samples have come from it."""
    started_s: float
    """When it began, by its own clock."""
    ended_s: float
    """When its last answer was there, by its own clock."""
    counters: dict[str, float] = {}
    """What it counted of itself and of its host."""
    clock_ahead_s: float | None = None
    """How many seconds its host's wall clock was ahead of the coordinator's, which nothing is timed by; None where
    nobody measured it.
    """
    clock_error_s: float = 0.0
    """By how much the place of its samples in time is uncertain: half of the soonest of 30 round trips."""
    clock_drift_ppm: float = 0.0
    """By how many millionths the clock that times requests was fast."""
    ahead_s: tuple[float, float] = (0.0, 0.0)
    """How far that clock was ahead at the begin and end of the phase, since the first phase began."""

    def ahead_at(self, offset_s: float) -> float:
        """On the line between both ends, at an offset by its own clock."""
        begun_s, ended_s = self.ahead_s
        if begun_s == ended_s or self.ended_s == self.started_s:
            return begun_s
        return begun_s + (ended_s - begun_s) * (offset_s - self.started_s) / (self.ended_s - self.started_s)


class PhaseRecord(Frozen):
    """Says what one phase set out to send in one round, and what became of it."""

    name: str
    """The phase's name."""
    workload: str
    """What was asked: an operation, a mix or a trace."""
    round: int
    """The round, counted from 1."""
    arrival: str
    """The kind of its arrival."""
    loop: Loop
    """Whether starts were scheduled."""
    users: int | None = None
    """The most virtual users of a closed loop; None of an open one."""
    rate_per_s_target: float | None = None
    """The mean planned rate of an open loop; None of a closed one."""
    planned: int | None = None
    """How many starts an open loop planned; None of a closed one."""
    processes: int = 1
    """How many processes the load generator had."""
    started: int
    """How many requests were started."""
    dropped: int = 0
    """How many planned starts were left out, as they would have exceeded the cap on requests in flight."""
    started_s: float
    """When it began, as an offset from the start of the variant's timed pass of this round."""
    ended_s: float
    """When its last answer was there, as such an offset."""
    stages: tuple[StageRecord, ...] = ()
    """Its stages in order; empty where it has none."""
    counters: dict[str, float] = {}
    """What probes counted, by the names that they give."""
    uncounted: dict[str, str] = {}
    """Of what probes could not count, why."""
    levels: LevelsRecord | None = None
    """What went up and down, where one process sent all requests; else None."""
    memory: tuple[LevelsRecord, ...] = ()
    """What memory processes had, as it was read now and then: `client_kept_bytes` of the load generator, where one
    process sent all requests, with how many `requests` had begun by then, and `service_memory_bytes`, which are
    resident, of a service that the run started.
    """
    drain_s: float | None = None
    """How many seconds the background work that it left behind went on after it; None where there is none to wait for.
    """
    workers: tuple[WorkerRecord, ...] = ()
    """The parts of several workers; empty where there was one alone."""


class DisruptionRecord(Frozen):
    """Says what a timeline did to the database in a round, or was to do: `started_s` is None if its phase ended before.

    `planned_s` counts from the start of the phase. `started_s` and `ended_s`, when the database was as before again,
    are offsets from the start of the variant's timed pass; without an end it could not be restored, and the run failed.
    """

    round: int
    phase: str
    action: str
    planned_s: float
    started_s: float | None = None
    ended_s: float | None = None


class ServerStatement(Frozen):
    """Says what `pg_stat_statements` counted of one statement: all `calls` of it together, blocks of 8 KiB.

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
    """One variant's operation in one round of the profiling pass, which nothing of the timed pass is taken from."""

    variant: str
    """The variant's name."""
    operation: str
    """The operation's name."""
    round: int
    """The round of the profiling pass, counted from 1."""
    requests: int
    """How many requests were profiled."""
    profiled_s: float
    """The mean service time with the profiler, in seconds."""
    plain_s: float
    """The mean service time without the profiler, in seconds, of the other half of one list of requests."""
    allocations: float | None = None
    """How often a request allocated memory in this process, as memray counts it; None where that is not installed."""
    stacks: dict[str, float] = {}
    """Seconds in all requests by frames, which `;` separates, the outermost first."""
    server_stacks: dict[str, float] = {}
    """Processor seconds of the server's sessions likewise."""
    server_unobserved: str = ""
    """Why there are none of the server; empty where there are, and in older records."""
    waits: dict[str, int] = {}
    """In how many looks at the server a session of the variant waited for what, or used the processor."""
    lock_waits: tuple[LockWaitRecord, ...] = ()
    """The waits for locks that other sessions held."""
    server_statements: tuple[ServerStatement, ...] = ()
    """What the server counted of statements; empty where it does not count them."""


class BackgroundRecord(Frozen):
    """Work done after responses, per kind."""

    kind: str
    count: int
    failures: int
    statements: int
    round_trips: int


class StepExecution(Frozen):
    """Says what one step of a plan came to, the steps below it included: all `loops` of it together.

    `blocks` are of 8 KiB, wherever they were found.
    """

    rows: float
    loops: int
    elapsed_ms: float
    blocks: int


class PlanStep(Frozen):
    """One step of a plan, above those that it takes its rows from. An empty text says that it has no such thing."""

    node_type: str
    """What it does, in EXPLAIN's word."""
    join_type: str = ""
    """How it joins, in EXPLAIN's word."""
    strategy: str = ""
    """How it groups, in EXPLAIN's word."""
    relation: str = ""
    """What is read or written: a table, a function or a part of the statement, by its name."""
    index: str = ""
    """The index that it reads."""
    access_method: str = ""
    """The kind of that index, such as `btree` or `hnsw`."""
    role: str = ""
    """The name of a part that is planned by itself, such as `CTE candidates`."""
    is_parallel: bool = False
    """Whether several processes share it."""
    rows_estimated: float = 0
    """How many rows the planner expected of one execution."""
    executed: StepExecution | None = None
    """What it came to; None where the statement was not executed."""
    omitted: int = 0
    """How many steps below it the record has no room for."""
    steps: tuple["PlanStep", ...] = ()
    """The steps that it takes its rows from."""

    def walk(self) -> Iterator["PlanStep"]:
        """This step and all below it, each before those that it takes its rows from."""
        yield self
        for step in self.steps:
            yield from step.walk()

    @property
    def depth(self) -> int:
        return 1 + max((step.depth for step in self.steps), default=0)


class PlanRecord(Frozen):
    """Says how a statement is executed: the indexes that its plan uses, and the tables of which it reads every row.

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
    """One variant's timed passes."""

    name: str
    """The variant's name."""
    description: str
    """What it is, in a line."""
    schema_version: int
    """The number of the migration that its database was at; 0 where the target has none."""
    control_of: str | None = None
    """The variant that it measured again, so that what differs between the two is noise; None where it is no control.
    """
    in_process: bool = True
    """Whether the target worked in the process of the load generator."""
    samples: Sequence[Sample] = ()
    """What was measured of each request; read from a file, in columns."""
    phases: tuple[PhaseRecord, ...] = ()
    """One entry for each phase and round that came to its end."""
    disruptions: tuple[DisruptionRecord, ...] = ()
    """What a timeline did to the database."""
    plans: tuple[PlanRecord, ...] = ()
    """The plans of its statements before the timed pass of its last round."""
    recalls: tuple[float, ...] = ()
    """One share per sampled query: how much of exact search's results it found in its last round."""
    recalls_by_operation: dict[str, tuple[float, ...]] = {}
    """Likewise of each operation of somebody's own that searches, by its name."""
    cache: dict[str, float] = {}
    """What its embedding cache counted, by name; empty without one."""
    pool: dict[str, float] = {}
    """What its pool of connections counted, by name; empty without one."""
    served: dict[str, int] = {}
    """How many requests its server says that it answered in all rounds, by operation and status; empty where none says
    so.
    """
    background: tuple[BackgroundRecord, ...] = ()
    """What was done after responses, by kind."""
    drain_s: float | None = None
    """How many seconds its background work went on after its passes; None where there is none."""
    complete: bool = False
    """Whether all of its rounds came to their end."""

    @field_validator("samples", mode="wrap")
    @classmethod
    def _in_columns(cls, samples: object, validated: ValidatorFunctionWrapHandler) -> SampleColumns:
        return samples if isinstance(samples, SampleColumns) else SampleColumns(validated(samples))

    @field_serializer("samples")
    def _one_by_one(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        return tuple(samples)

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
    """Says what a run was to compare: two of its variants, and the share that a change has to exceed to matter."""

    baseline: str
    candidate: str
    margin: float


class CapacitySettings(Frozen):
    """Says how the highest rate was to be searched at which all budgets of a phase hold."""

    phases: tuple[str, ...]
    """The phases whose rate was searched, each by itself."""
    start_per_s: float | None = None
    """The rate to begin with; None: as many requests as the budgets need."""
    within: float = 0.02
    """How far apart a rate that holds and one that does not may be, as a share."""
    time_s: float = 10.0
    """For how many seconds a rate is asked for; longer where that would be too few requests."""
    in_flight_max: int | None = None
    """How many requests may be in flight at once; None: as the phase says, or else a hundred."""
    compared: bool = False
    """Whether the candidate's capacity was to be compared with the baseline's."""


class AskedRate(Frozen):
    """At which rate a variant's phase was asked in a round of a search for its capacity, how long, and what for."""

    variant: str
    phase: str
    round: int
    rate_per_s: float
    time_s: float
    purpose: AskedFor


class Resumption(Frozen):
    """When a run that had ended before its time went on, and how many samples of a pass that was cut off were left out.

    That pass was measured again as a whole, on a fresh clone. Its first samples are in the journal only.
    """

    at: datetime
    interruption: str
    discarded: dict[str, int] = {}


class CheckoutRecord(Frozen):
    """Says what was checked out in the directory that a run was started in."""

    revision: str
    """The commit, and `-dirty` where something differed from it."""
    branch: str | None = None
    """The branch; None where nobody said it."""


class RunRecord(Frozen):
    """A whole run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """The version of this format."""
    run_id: str
    """The name of the run."""
    started_at: datetime
    """When it began."""
    elapsed_s: float
    """How many seconds it took."""
    state: Literal["complete", "partial"]
    """Whether every variant came to its end."""
    interruption: str | None = None
    """Why a partial run is one; None of a complete one."""
    command: tuple[str, ...]
    """The command that measured it."""
    checkout: CheckoutRecord | None = None
    """The revision and branch that it was started in; None outside of a repository, and of older records."""
    scenario: dict[str, Any]
    """What was to be measured."""
    corpus: dict[str, str | int]
    """What tells the data from another: its name, a fingerprint, how much of it."""
    environment: EnvironmentRecord
    """What host, software and server it had."""
    variants: tuple[VariantRecord, ...]
    """What was measured of each variant."""
    profiles: tuple[ProfileRecord, ...] = ()
    """What profilers observed."""
    statement_profiles: tuple[StatementProfile, ...] = ()
    """Statements that were executed once by themselves."""
    looks: tuple[dict[str, int], ...] = ()
    """When it was looked whether the run may end: how many samples each variant had. It is empty where a run was to end
    with its planned rounds.
    """
    aborted_by: str | None = None
    """The budget that ended it early; None where none did."""
    resumptions: tuple[Resumption, ...] = ()
    """When it went on after it had ended before its time."""
    comparison: ComparisonSettings | None = None
    """What it was made to compare; None where it is judged by its budgets."""
    capacity: CapacitySettings | None = None
    """What it was made to search; None where it is judged by its budgets."""
    rates: tuple[AskedRate, ...] = ()
    """The rates that a search for a capacity asked for, in order; empty of any other run."""
