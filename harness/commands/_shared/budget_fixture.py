"""Tells what the pytest fixture `budget` does: calls a function until its budgets are decided, and says how they stand.

With one user the calls come one after another, so what is counted while one of them runs is its own, in whatever task
or thread the statement was sent. Load on a schedule and a comparison are not here: a scenario has those.
"""

import asyncio
import inspect
import math
import re
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence, Sized
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from time import perf_counter
from typing import Any, Final, Generic, Literal, NoReturn, ParamSpec, TypeVar

import pytest

from harness.commands._shared import sent_statements
from harness.commands._shared.lent_database import FLUSH, UNREPORTED, LentDatabase
from harness.commands._shared.sent_statements import Sent, count_statement, counted_statements, current_task
from harness.errors import UsageError
from harness.judging.analysis.sequential import confidence_at
from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.latency_quantile import LatencyQuantile
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import EVERYTHING, Budget, parse
from harness.judging.evaluation import SEVERITY
from harness.judging.verdict import BudgetVerdict, Verdict, judge
from harness.measuring.drivers import DRIVERS, HOOKS, hidden
from harness.measuring.drivers._shared.places import is_the_projects, place
from harness.measuring.drivers.asyncpg import connections
from harness.record import EnvironmentRecord, PhaseRecord, PlanRecord, RunRecord, VariantRecord
from harness.samples import Sample

P = ParamSpec("P")
T = TypeVar("T")
Undecided = Literal["fail", "skip", "pass"]

OPERATION: Final = "call"
"""What a budget is about that names no operation: `p95 <= 150ms` reads as `call.p95 <= 150ms`."""

CALLS_MIN_EXACT, CALLS_MIN_SAMPLED = 10, 30
"""Before the first look; an average needs some before its bounds mean anything."""

_NAMES_OPERATION: Final = re.compile(r"[^<>=]*(\.\s*[a-zA-Z_]|[:{])")
_OF_A_DATABASE: Final = frozenset({"blocks_per_op", "plan", "rows_per_op", "wal_bytes_per_op"})
_SHORT_ALWAYS: Final = re.compile(r"\b(wal_bytes|blocks)(?=\s*[<>=])")
_SHORT: Final = re.compile(r"\b(rows|wal_bytes|blocks)(?=\s*[<>=])")
"""On a database that is lent, `rows` are those that the server touched; elsewhere those that drivers tell of."""

_OF_SCENARIOS: Final = {"subject", "texts", "variant"}
_HOW_TO_COUNT: Final = (
    f"Those of {', '.join(DRIVERS)} are, in this process; have any other driver call `budget.count_statement`."
)


async def watch(connection: Any) -> None:  # noqa: ANN401 -- asyncpg's, which a project need not have.
    """Has a connection of asyncpg that was opened before the test tell the server's statistics what it has done.

    It is counted without. A coroutine, so that it can be a pool's `init`.
    """
    __tracebackhide__ = True
    if not hasattr(connection, "add_query_logger"):
        _refuse(f"budget.watch: {type(connection).__name__} is no connection of asyncpg. {_HOW_TO_COUNT}")
    connections.add(connection)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Says how many calls come before the first look and at most, and for how long in all, warm-up included.

    `users` call at once.
    """

    warm_up: int
    calls_min: int
    calls_max: int
    seconds_max: float
    users: int

    def looks(self) -> Iterator[int]:
        """The number of calls at each look: twice as many as at the one before."""
        size = self.calls_min
        while size < self.calls_max:
            yield size
            size *= 2
        yield self.calls_max


class BudgetFixture:
    """The fixture's value. `record` is given each verdict; `undecided` says what a test does that has no result."""

    watch = staticmethod(watch)
    count_statement = staticmethod(count_statement)

    def __init__(
        self,
        *,
        undecided: Undecided,
        record: Callable[[dict[str, Any]], None],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.undecided: Undecided = undecided
        self.record = record
        self.clock = clock
        self.lent: LentDatabase | None = None
        self.heard_before = sent_statements.counting.heard
        self.unmeasured: list[str] = []
        """Stated, and not measured since: a test that ends like this has looked at nothing."""

    def __call__(
        self, *budgets: str, users: int = 1, warm_up: int = 5, calls_max: int = 2_000, seconds_max: float = 10.0
    ) -> "Measurement":
        """States budgets, in the language of a scenario's but without an operation, and the effort to decide them.

        `warm_up` calls come first and are discarded. Calls end when every budget is decided, and at the latest after
        `calls_max` or `seconds_max`. `users` call at once: each in a thread, or in a task where the call is awaited.
        """
        __tracebackhide__ = True
        mistake = ""
        try:
            read = _read(budgets, is_lent=self.lent is not None)
        except UsageError as error:
            read, mistake = (), str(error)
        if mistake:
            # Out here the failure has no cause, whose traceback would lead through the parser.
            _refuse(mistake)
        calls_min = max(map(_calls_min, read))
        if calls_min > calls_max:
            _refuse(
                f"{', '.join(budgets)}: no fewer than {calls_min} calls can decide this, and calls_max is {calls_max}. "
                "Raise calls_max, or limit a lower quantile."
            )
        if users < 1:
            _refuse(f"users = {users}: at least one has to call.")
        for text, budget in zip(budgets, read, strict=True):
            if budget.metric in _OF_A_DATABASE and self.lent is None:
                _refuse(
                    f"{text}: this is counted on a database that nobody else uses. Have the test take the fixture "
                    "`budget_database`, and connect to the URL that it gives."
                )
        self.unmeasured.extend(budgets)
        return Measurement(self, budgets, read, CallLimits(warm_up, calls_min, calls_max, seconds_max, users))


@dataclass(frozen=True, slots=True)
class Measurement:
    """Budgets that wait for a function. Both ways to measure return the result of the last call."""

    fixture: BudgetFixture
    stated: tuple[str, ...]
    budgets: tuple[Budget, ...]
    effort: CallLimits

    def measure(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the function until the budgets are decided. Fails the test where one does not hold."""
        __tracebackhide__ = True
        series = _Series[T](
            self.fixture.clock, self.budgets, self.effort, self.fixture.lent, heard_before=self.fixture.heard_before
        )

        def call_repeatedly(stretch: "_Stretch[T]") -> None:
            __tracebackhide__ = True
            for call in stretch:
                with call.timed():
                    call.result = function(*args, **kwargs)
                if inspect.isawaitable(call.result):
                    _refuse_awaitable(call.result)

        with series.counted():
            for stretch in series.stretches():
                _by_all(self.effort.users, call_repeatedly, stretch)
        self._conclude(series)
        return series.result

    async def measure_async(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a function whose result is awaited."""
        __tracebackhide__ = True
        series = _Series[T](
            self.fixture.clock, self.budgets, self.effort, self.fixture.lent, heard_before=self.fixture.heard_before
        )
        if self.effort.users > 1 and current_task() is None:
            _refuse(f"users = {self.effort.users}: several call at once under asyncio alone. Leave `users` out here.")

        async def call_repeatedly(stretch: "_Stretch[T]") -> None:
            __tracebackhide__ = True
            for call in stretch:
                with call.timed():
                    call.result = await function(*args, **kwargs)
                if current_task() is not None:
                    # What asyncpg made a task of comes to its end.
                    await asyncio.sleep(0)

        with series.counted():
            await series.report()
            for stretch in series.stretches():
                if self.effort.users == 1:
                    await call_repeatedly(stretch)
                else:
                    await _by_all_tasks(self.effort.users, call_repeatedly, stretch)
                await series.report()
        self._conclude(series)
        return series.result

    def _conclude(self, series: "_Series[T]") -> None:
        __tracebackhide__ = True
        self.fixture.unmeasured = [text for text in self.fixture.unmeasured if text not in self.stated]
        self._refuse_uncounted(series)
        verdict = series.verdict()
        judged = list(zip(self.stated, self.budgets, verdict.budgets, strict=True))
        message: list[str] = []
        for text, budget, each in judged:
            further = series.further(budget, each)
            self.fixture.record(_plain(text, each) | ({"further": further} if further else {}))
            message += [f"{each.outcome.value} {text}: {each.sentence}", *(f"  {line}" for line in further)]
        outcome = _worst(verdict)
        if outcome is Outcome.PASS:
            return
        if outcome is not Outcome.UNDECIDED or self.fixture.undecided == "fail":
            pytest.fail("\n".join(message))
        if self.fixture.undecided == "skip":
            pytest.skip("\n".join(message))

    def _refuse_uncounted(self, series: "_Series[T]") -> None:
        """A count of 0 because nobody counts, or because the code uses another connection, must not look like a 0."""
        __tracebackhide__ = True
        for text, budget in zip(self.stated, self.budgets, strict=True):
            if budget.metric == "plan" and series.plan is None:
                _refuse(f"{text}: no statement was seen that the server could explain. {_HOW_TO_COUNT}")
            if budget.metric not in ("statements", "rows"):
                continue
            if not series.is_told:
                _refuse(f"{text}: nothing counts statements. {series.hidden}{_HOW_TO_COUNT}")
            if series.strays:
                _refuse(
                    f"{text}: {series.strays} statements were sent from threads of their own, so that nobody knows "
                    "which user's they are. Leave `users` out to count them."
                )
            if not series.most.total and budget.limit.text != "0":
                _refuse(f"{text}: no statement was seen in any call. {series.hidden}{_HOW_TO_COUNT}")


def _by_all(users: int, call: "Callable[[_Stretch[T]], None]", stretch: "_Stretch[T]") -> None:
    """Each user in a thread; one alone in this one. Ends all with the first that fails, and raises that."""
    __tracebackhide__ = True
    if users == 1:
        call(stretch)
        return
    with ThreadPoolExecutor(users) as threads:
        ends = [threads.submit(call, stretch) for _ in range(users)]
        wait(ends, return_when=FIRST_EXCEPTION)
        stretch.end()
    for end in ends:
        end.result()


async def _by_all_tasks(
    users: int, call: "Callable[[_Stretch[T]], Coroutine[Any, Any, None]]", stretch: "_Stretch[T]"
) -> None:
    __tracebackhide__ = True
    tasks = [asyncio.create_task(call(stretch)) for _ in range(users)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stretch.end()
        await asyncio.wait(tasks)
    for task in tasks:
        task.result()


@dataclass(slots=True)
class _Call(Generic[T]):
    """One call of the function; times are the clock's, in seconds. `error` is a sentence on why it failed."""

    clock: Callable[[], float]
    raises: bool
    sent: Sent = field(default_factory=Sent)
    started_s: float = 0.0
    ended_s: float = 0.0
    error: str | None = None
    result: T | None = None

    @contextmanager
    def timed(self) -> Generator[None]:
        __tracebackhide__ = True
        with sent_statements.counting.call(self.sent):
            self.started_s = self.clock()
            try:
                yield
            except Exception as error:
                self.error = _sentence(error)
                if self.raises:
                    raise
            finally:
                self.ended_s = self.clock()

    def sample(self, operation: str) -> Sample:
        return Sample(
            operation=operation,
            round=1,
            intended_s=self.started_s,
            started_s=self.started_s,
            ended_s=self.ended_s,
            error=self.error,
            statements=self.sent.total,
            rows=self.sent.rows,
            results=_size(self.result),
        )


def _sentence(error: Exception) -> str:
    """What it is, and the innermost line of the project that it came through."""
    places = [
        place(frame.filename, frame.lineno or 0)
        for frame in traceback.extract_tb(error.__traceback__)
        if is_the_projects(frame.filename)
    ]
    said = " ".join(str(error).split())
    return type(error).__name__ + (f": {said}" if said else "") + (f"  ({places[-1]})" if places else "")


@dataclass(slots=True)
class _Stretch(Generic[T]):
    """Calls to make until there are enough of them or time is up; users take them from here, each the next one.

    One call at least, however late it is. `keep` is given each when it has been made.
    """

    make: "Callable[[], _Call[T]]"
    keep: "Callable[[_Call[T]], None]"
    calls: int
    deadline_s: float
    begun: int = 0
    ended: bool = False
    lock: Lock = field(default_factory=Lock)

    def end(self) -> None:
        self.ended = True

    def __iter__(self) -> "Iterator[_Call[T]]":
        while (call := self._next()) is not None:
            yield call
            self.keep(call)

    def _next(self) -> "_Call[T] | None":
        with self.lock:
            call = self.make()
            late = self.begun > 0 and call.clock() >= self.deadline_s
            if self.ended or late or self.begun >= self.calls:
                return None
            self.begun += 1
            return call


@dataclass(slots=True)
class _Series(Generic[T]):
    """The calls of one measurement, made until their budgets are decided."""

    clock: Callable[[], float]
    """The time in seconds, from any beginning."""
    budgets: tuple[Budget, ...]
    """What the calls are held to."""
    effort: CallLimits
    """How many calls are made at least and at most."""
    lent: LentDatabase | None = None
    """The test's database, whose statements are counted; None where it lent none."""
    reported: bool = False
    """Whether a report shows it."""
    counters: dict[str, float] = field(default_factory=dict[str, float])
    """What was counted of the database, by the names of probes."""
    plan: PlanRecord | None = None
    """How PostgreSQL executes the statements that the last call sent; None until it was asked."""
    samples: list[Sample] = field(default_factory=list[Sample])
    """What was measured of each call."""
    looks: list[int] = field(default_factory=list[int])
    """After how many calls it was looked whether the budgets are decided."""
    most: Sent = field(default_factory=Sent)
    """The most statements that one call sent."""
    strays: int = 0
    """How many statements were seen outside of a call."""
    heard_before: int = 0
    """How many statements had been seen before the test."""
    is_told: bool = False
    """Whether anything tells of statements here."""
    hidden: str = ""
    """Sentences on drivers that are imported here and tell nothing."""
    last: _Call[T] | None = None
    """The call before; None at first."""
    begun_s: float = 0.0
    """When the first call began, by the clock."""

    @contextmanager
    def counted(self) -> Generator[None]:
        """With one user all that is sent within the block is the call's; with several only what can be told apart."""
        counting = sent_statements.counting
        counting.users, before = self.effort.users, counting.strays
        try:
            with counted_statements():
                yield
                self.is_told = sent_statements.can_be_none(self.heard_before)
                self.hidden = "".join(f"{each}. " for each in hidden())
        finally:
            counting.users, counting.only = 0, None
            self.strays = counting.strays - before

    def stretches(self) -> Iterator[_Stretch[T]]:
        """Up to each look. Those of the warm-up first, for half of the time at most."""
        self.begun_s = self.clock()
        deadline_s = self.begun_s + self.effort.seconds_max
        if self.effort.warm_up:
            half_s = deadline_s - self.effort.seconds_max / 2
            yield _Stretch(self._call, lambda _: None, self.effort.warm_up, half_s)
        before = self._read()
        for size in self.effort.looks():
            yield _Stretch(self._call, self._keep, size - len(self.samples), deadline_s)
            self.looks.append(len(self.samples))
            self.counters = {name: value - before[name] for name, value in self._read().items()}
            self.plan = self._planned()
            if self.clock() >= deadline_s or _worst(self.verdict()) is not Outcome.UNDECIDED:
                return

    async def report(self) -> None:
        """Has the sessions tell the server's statistics what they have done, where a budget asks for it."""
        if self.lent and any(budget.metric in ("blocks_per_op", "rows_per_op") for budget in self.budgets):
            self.reported = await sent_statements.report_statistics(FLUSH)

    def _read(self) -> Mapping[str, float]:
        wanted = any(METRICS[budget.metric].scope == "phase" for budget in self.budgets)
        read: Mapping[str, float] = self.lent.counters() if self.lent and wanted else {}
        return read if self.reported else {name: value for name, value in read.items() if name == "wal_bytes"}

    def _planned(self) -> PlanRecord | None:
        """Of the last call that was answered."""
        wanted = any(budget.metric == "plan" for budget in self.budgets)
        if self.lent is None or self.last is None or not wanted:
            return None
        return self.lent.plan(self.budgets[0].subject, self.last.sent.queries)

    def _call(self) -> _Call[T]:
        """An exception is a failed call where a budget says how many may fail, and else the test's own."""
        call = _Call[T](self.clock, all(budget.metric != "errors" for budget in self.budgets))
        if self.effort.users == 1:
            sent_statements.counting.only = call.sent
        HOOKS.hook_imported()
        return call

    def _keep(self, call: _Call[T]) -> None:
        with sent_statements.counting.lock:
            self.samples.append(call.sample(self.budgets[0].subject))
            if call.sent.total > self.most.total:
                self.most = call.sent
            if call.error is None:
                self.last = call

    @property
    def result(self) -> T:
        """Of the last call that was answered; without one there is a verdict that fails the test."""
        assert self.last is not None, "a series without an answer is INVALID"
        return self.last.result  # type: ignore[return-value]  # it is None only where T is

    def further(self, budget: Budget, verdict: BudgetVerdict) -> list[str]:
        """What helps to see why a budget does not hold."""
        if verdict.outcome is Outcome.UNDECIDED:
            return [self._ended()]
        failed = verdict.outcome is not Outcome.PASS
        if failed and budget.metric in ("statements", "rows"):
            return [self.most.summary(), *(f"  {line}" for line in self.most.lines())]
        if failed and budget.metric == "errors":
            errors = Counter(sample.error for sample in self.samples if sample.error is not None)
            return [f"{times} of {len(self.samples)} calls raised {error}" for error, times in errors.most_common(3)]
        return []

    def _ended(self) -> str:
        calls, calls_max, seconds_max = len(self.samples), self.effort.calls_max, self.effort.seconds_max
        if calls >= calls_max:
            return f"ended by calls_max = {calls_max}, after {self.clock() - self.begun_s:.3g} s of {seconds_max:g} s"
        return f"ended by seconds_max = {seconds_max:g}, after {calls} calls of {calls_max}"

    def verdict(self) -> Verdict:
        subject = self.budgets[0].subject
        phase = PhaseRecord(
            name=subject,
            workload=subject,
            round=1,
            arrival="closed_loop",
            loop="closed",
            started=len(self.samples),
            started_s=0.0,
            ended_s=0.0,
            counters=self.counters,
            uncounted=dict.fromkeys(("rows_read", "rows_written", "blocks_read", "blocks_hit"), UNREPORTED),
        )
        variant = VariantRecord(
            name="the test",
            description="",
            schema_version=0,
            samples=tuple(self.samples),
            phases=(phase,) if self.lent else (),
            plans=(self.plan,) if self.plan else (),
            complete=True,
        )
        record = RunRecord(
            run_id="pytest",
            started_at=datetime.now(UTC),
            elapsed_s=max(sample.ended_s for sample in self.samples) - min(sample.started_s for sample in self.samples),
            state="complete",
            command=(),
            scenario={"strategies": [variant.name]},
            corpus={},
            environment=EnvironmentRecord(host={}, software={}, server={}),
            variants=(variant,),
            looks=tuple({variant.name: size} for size in self.looks),
        )
        return judge(record, self.budgets)


def _worst(verdict: Verdict) -> Outcome:
    """Of the budgets alone: what makes a run invalid, such as drift, need not stand in the way of a quick test."""
    return min((each.outcome for each in verdict.budgets), key=SEVERITY.index)


def _read(texts: Sequence[str], *, is_lent: bool) -> tuple[Budget, ...]:
    """The budgets, all of one operation. Raises `UsageError`."""
    if not texts:
        raise UsageError('State at least one budget, such as budget("p95 <= 150ms").')
    whole = [(_SHORT if is_lent else _SHORT_ALWAYS).sub(r"\1_per_op", text) for text in texts]
    named = next((parse(text).subject for text in whole if _NAMES_OPERATION.match(text)), OPERATION)
    budgets = tuple(parse(text if _NAMES_OPERATION.match(text) else f"{named}.{text}") for text in whole)
    for text, budget in zip(texts, budgets, strict=True):
        if _is_of_scenarios(budget):
            raise UsageError(f"{text}: a test has no variants, stages, windows, texts or cache; a scenario has them.")
        if budget.subject != named:
            raise UsageError(f"{text}: one measurement is of one operation, and another budget names {named}.")
    return budgets


def _is_of_scenarios(budget: Budget) -> bool:
    plain = replace(budget, variant=None, selection=EVERYTHING, abort_after_s=None)
    return budget != plain or METRICS[budget.metric].subject is not None


def _calls_min(budget: Budget) -> int:
    """With how many calls the budget can be decided at the first look."""
    metric = METRICS[budget.metric]
    if isinstance(metric, LatencyQuantile):
        # All within the limit is the fewest that can show it.
        return max(CALLS_MIN_SAMPLED, math.ceil(math.log(1 - confidence_at(1)) / math.log(metric.probability)))
    return CALLS_MIN_SAMPLED if metric.kind == "sampled" else CALLS_MIN_EXACT


def _size(result: object) -> int | None:
    """What a law in n reads: how many things the call returned."""
    return len(result) if isinstance(result, Sized) and not isinstance(result, str | bytes) else None


def _plain(text: str, verdict: BudgetVerdict) -> dict[str, Any]:
    """A verdict as JSON can say it, with the budget as the test states it; null for what is infinite."""
    values = asdict(verdict) | {"budget": text, "outcome": verdict.outcome.value}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
        if name not in _OF_SCENARIOS
    }


def _refuse_awaitable(result: object) -> NoReturn:
    __tracebackhide__ = True
    if inspect.iscoroutine(result):
        result.close()
    _refuse("The function's result has to be awaited: write `await budget(…).measure_async(function, …)`.")


def _refuse(message: str) -> NoReturn:
    """Fails the test at its own line, without a traceback through this module."""
    __tracebackhide__ = True
    pytest.fail(message)
