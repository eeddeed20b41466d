"""What the pytest fixture `budget` does: calls a function until its budgets are decided, and says how they stand.

The calls come one after another, so what is counted while one of them runs is its own, in whatever task or thread the
statement was sent. Load, a database and a comparison are not here: a scenario has those.
"""

import asyncio
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from time import perf_counter
from typing import Any, Final, Generic, Literal, NoReturn, ParamSpec, TypeVar

import pytest

from harness.errors import UsageError
from harness.judging.analysis.sequential import confidence_at
from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.latency_quantile import LatencyQuantile
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import EVERYTHING, Budget, parse
from harness.judging.evaluation import SEVERITY
from harness.judging.verdict import BudgetVerdict, Verdict, judge
from harness.record import EnvironmentRecord, RunRecord, Sample, VariantRecord

P = ParamSpec("P")
T = TypeVar("T")
Undecided = Literal["fail", "skip", "pass"]

OPERATION: Final = "call"
"""What a budget is about that names no operation: `p95 <= 150ms` reads as `call.p95 <= 150ms`."""

CALLS_MIN_EXACT, CALLS_MIN_SAMPLED = 10, 30
"""Before the first look; an average needs some before its bounds mean anything."""

_NAMES_OPERATION: Final = re.compile(r"[^<>=]*(\.\s*[a-zA-Z_]|[:{])")
_CONTROL: Final = re.compile(r"\s*(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE)\b", re.IGNORECASE)
_OF_SCENARIOS: Final = {"subject", "texts", "variant"}
_HOW_TO_COUNT: Final = (
    "Say where they are sent: `await budget.watch(connection)` for a connection of asyncpg, "
    "`create_pool(…, init=budget.watch)` for a pool, `budget.count_statement` as the hook of any other driver."
)


@dataclass(slots=True)
class _Statements:
    """Those that this process was told of. One count for all tests, since a connection may outlive a test."""

    total: int = 0
    counted: bool = False
    housekeeping: set[str] = field(default_factory=set[str])
    lock: Lock = field(default_factory=Lock)

    def add(self) -> None:
        with self.lock:
            self.total += 1
            self.counted = True


_statements: Final = _Statements()


async def watch(connection: Any) -> None:  # noqa: ANN401 -- asyncpg's, which a project need not have.
    """Counts what an asyncpg connection sends by execute, fetch and the like.

    Transaction control is left out, and what a pool sends to reset a connection that it gets back. asyncpg does not
    tell of cursors, COPY and prepared statements. A coroutine, so that it can be a pool's `init`.
    """
    __tracebackhide__ = True
    if not hasattr(connection, "add_query_logger"):
        _refuse(f"budget.watch: {type(connection).__name__} is no connection of asyncpg. {_HOW_TO_COUNT}")
    connection.add_query_logger(_query_sent)
    _statements.housekeeping.add(connection.get_reset_query())
    _statements.counted = True


def _query_sent(logged: Any) -> None:  # noqa: ANN401 -- asyncpg's LoggedQuery.
    if logged.query not in _statements.housekeeping and not _CONTROL.match(logged.query):
        _statements.add()


def count_statement(*_event: object) -> None:
    """Counts one statement. Takes any arguments, so that it can be a driver's hook as it is."""
    _statements.add()


@dataclass(frozen=True, slots=True)
class Effort:
    """How many calls come before the first look and at most, and for how long in all, warm-up included."""

    warm_up: int
    calls_min: int
    calls_max: int
    seconds_max: float

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
        self.unmeasured: list[str] = []
        """Stated, and not measured since: a test that ends like this has looked at nothing."""

    def __call__(
        self, *budgets: str, warm_up: int = 5, calls_max: int = 2_000, seconds_max: float = 10.0
    ) -> "Measurement":
        """States budgets, in the language of a scenario's but without an operation, and the effort to decide them.

        `warm_up` calls come first and are discarded. Calls end when every budget is decided, and at the latest after
        `calls_max` or `seconds_max`.
        """
        __tracebackhide__ = True
        mistake = ""
        try:
            read = _read(budgets)
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
        self.unmeasured.extend(budgets)
        return Measurement(self, budgets, read, Effort(warm_up, calls_min, calls_max, seconds_max))


@dataclass(frozen=True, slots=True)
class Measurement:
    """Budgets that wait for a function. Both ways to measure return the result of the last call."""

    fixture: BudgetFixture
    stated: tuple[str, ...]
    budgets: tuple[Budget, ...]
    effort: Effort

    def measure(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the function until the budgets are decided. Fails the test where one does not hold."""
        __tracebackhide__ = True
        series = _Series[T](self.fixture.clock, self.budgets, self.effort)
        for call in series.calls():
            with call.timed():
                call.result = function(*args, **kwargs)
            if inspect.isawaitable(call.result):
                _refuse_awaitable(call.result)
        self._conclude(series.verdict(), series.statements)
        return series.result

    async def measure_async(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a function whose result is awaited."""
        __tracebackhide__ = True
        series = _Series[T](self.fixture.clock, self.budgets, self.effort)
        for call in series.calls():
            with call.timed():
                call.result = await function(*args, **kwargs)
            if _is_asyncios():
                # asyncpg tells of a statement in the loop's next iteration.
                await asyncio.sleep(0)
        self._conclude(series.verdict(), series.statements)
        return series.result

    def _conclude(self, verdict: Verdict, statements: int) -> None:
        __tracebackhide__ = True
        self.fixture.unmeasured = [text for text in self.fixture.unmeasured if text not in self.stated]
        self._refuse_uncounted(statements)
        judged = list(zip(self.stated, verdict.budgets, strict=True))
        for text, each in judged:
            self.fixture.record(_plain(text, each))
        message = "\n".join(f"{each.outcome.value} {text}: {each.sentence}" for text, each in judged)
        outcome = _worst(verdict)
        if outcome is Outcome.PASS:
            return
        if outcome is not Outcome.UNDECIDED or self.fixture.undecided == "fail":
            pytest.fail(message)
        if self.fixture.undecided == "skip":
            pytest.skip(message)

    def _refuse_uncounted(self, statements: int) -> None:
        """A count of 0 because nobody counts, or because the code uses another connection, must not look like a 0."""
        __tracebackhide__ = True
        for text, budget in zip(self.stated, self.budgets, strict=True):
            if budget.metric == "statements" and not _statements.counted:
                _refuse(f"{text}: nothing counts statements. {_HOW_TO_COUNT}")
            if budget.metric == "statements" and not statements and budget.limit.text != "0":
                _refuse(f"{text}: no statement was seen in any call. Does it use what is watched? {_HOW_TO_COUNT}")


@dataclass(slots=True)
class _Call(Generic[T]):
    """One call of the function; times are the clock's, in seconds."""

    clock: Callable[[], float]
    raises: bool
    sent_before: int
    started_s: float = 0.0
    ended_s: float = 0.0
    error: str | None = None
    result: T | None = None
    statements: int | None = None

    @contextmanager
    def timed(self) -> Generator[None]:
        __tracebackhide__ = True
        self.started_s = self.clock()
        try:
            yield
        except Exception as error:
            self.error = type(error).__name__
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
            statements=self.statements,
            results=_size(self.result),
        )


@dataclass(slots=True)
class _Series(Generic[T]):
    """The calls of one measurement, made until their budgets are decided."""

    clock: Callable[[], float]
    budgets: tuple[Budget, ...]
    effort: Effort
    samples: list[Sample] = field(default_factory=list[Sample])
    looks: list[int] = field(default_factory=list[int])
    statements: int = 0
    last: _Call[T] | None = None

    def calls(self) -> Iterator[_Call[T]]:
        """Each call to make. Those of the warm-up first, for half of the time at most."""
        deadline_s = self.clock() + self.effort.seconds_max
        for _ in range(self.effort.warm_up):
            yield self._call()
            if self.clock() > deadline_s - self.effort.seconds_max / 2:
                break
        for size in self.effort.looks():
            while len(self.samples) < size and (not self.samples or self.clock() < deadline_s):
                call = self._call()
                yield call
                self._keep(call)
            self.looks.append(len(self.samples))
            if self.clock() >= deadline_s or _worst(self.verdict()) is not Outcome.UNDECIDED:
                return

    def _call(self) -> _Call[T]:
        """An exception is a failed call where a budget says how many may fail, and else the test's own."""
        return _Call(self.clock, all(budget.metric != "errors" for budget in self.budgets), _statements.total)

    def _keep(self, call: _Call[T]) -> None:
        sent = _statements.total - call.sent_before
        call.statements = sent if _statements.counted else None
        self.statements += sent
        self.samples.append(call.sample(self.budgets[0].subject))
        if call.error is None:
            self.last = call

    @property
    def result(self) -> T:
        """Of the last call that was answered; without one there is a verdict that fails the test."""
        assert self.last is not None, "a series without an answer is INVALID"
        return self.last.result  # type: ignore[return-value]  # it is None only where T is

    def verdict(self) -> Verdict:
        variant = VariantRecord(
            name="the test", description="", schema_version=0, samples=tuple(self.samples), complete=True
        )
        record = RunRecord(
            run_id="pytest",
            started_at=datetime.now(UTC),
            elapsed_s=self.samples[-1].ended_s - self.samples[0].started_s,
            state="complete",
            command=(),
            scenario={"strategies": [variant.name]},
            corpus={},
            environment=EnvironmentRecord(host={}, software={}, server={}),
            variants=(variant,),
            looks=tuple({variant.name: size} for size in self.looks),
        )
        return judge(record, self.budgets)


def _is_asyncios() -> bool:
    """Whether who awaits this is a task of asyncio's; trio has its own."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def _worst(verdict: Verdict) -> Outcome:
    """Of the budgets alone: what makes a run invalid, such as drift, need not stand in the way of a quick test."""
    return min((each.outcome for each in verdict.budgets), key=SEVERITY.index)


def _read(texts: Sequence[str]) -> tuple[Budget, ...]:
    """The budgets, all of one operation. Raises `UsageError`."""
    if not texts:
        raise UsageError('State at least one budget, such as budget("p95 <= 150ms").')
    named = next((parse(text).subject for text in texts if _NAMES_OPERATION.match(text)), OPERATION)
    budgets = tuple(parse(text if _NAMES_OPERATION.match(text) else f"{named}.{text}") for text in texts)
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
