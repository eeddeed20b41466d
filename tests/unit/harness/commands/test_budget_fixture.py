"""Measuring a callable until its budgets are decided, on a clock that only the callable moves."""

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from harness.commands._shared import sent_statements
from harness.commands._shared.budget_fixture import BudgetFixture, Undecided
from harness.measuring import drivers


@dataclass
class Work:
    """Takes these seconds in turn, the last of them from then on."""

    seconds: list[float]
    now: float = 0.0
    calls: int = 0

    def clock(self) -> float:
        return self.now

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        self.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1
        return arguments

    async def asynchronous(self, *arguments: Any) -> tuple[Any, ...]:
        return self(*arguments)


@dataclass
class Bench:
    work: Work
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    undecided: Undecided = "fail"

    @property
    def budget(self) -> BudgetFixture:
        return BudgetFixture(undecided=self.undecided, record=self.verdicts.append, clock=self.work.clock)

    @property
    def outcomes(self) -> dict[str, str]:
        return {each["budget"]: each["outcome"] for each in self.verdicts}


@pytest.fixture(autouse=True)
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test before this one has told of statements, or imported what does."""
    monkeypatch.setattr(sent_statements, "counting", sent_statements.Counting())
    monkeypatch.setattr(drivers, "DRIVERS", {})


def test_calls_end_with_the_first_look_that_decides() -> None:
    bench = Bench(Work([0.010]))
    assert bench.budget("p95 <= 20ms", "mean <= 15ms", warm_up=3).measure(bench.work, "a") == ("a",)
    assert bench.outcomes == {"p95 <= 20ms": "PASS", "mean <= 15ms": "PASS"}
    assert bench.work.calls == 3 + 63
    assert bench.verdicts[0]["n"] == 63


async def test_what_is_awaited_is_measured_like_what_is_called() -> None:
    bench = Bench(Work([0.010]))
    assert await bench.budget("p95 <= 20ms").measure_async(bench.work.asynchronous, 1, 2) == (1, 2)
    assert bench.outcomes == {"p95 <= 20ms": "PASS"}
    assert bench.verdicts[0]["measured"] == pytest.approx(0.010)


def test_the_warm_up_is_discarded() -> None:
    bench = Bench(Work([3.0] + [0.010] * 99))
    bench.budget("max <= 20ms", warm_up=1).measure(bench.work)
    assert bench.outcomes == {"max <= 20ms": "PASS"}


def test_a_budget_that_does_not_hold_fails_the_test_with_its_sentence() -> None:
    bench = Bench(Work([0.030]))
    with pytest.raises(pytest.fail.Exception, match=r"FAIL p95 <= 20ms: 30\.0 ms > 20\.0 ms \(50% over\)"):
        bench.budget("p95 <= 20ms", "p50 <= 1s").measure(bench.work)
    assert bench.outcomes == {"p95 <= 20ms": "FAIL", "p50 <= 1s": "PASS"}


def test_more_calls_are_made_until_there_is_a_decision() -> None:
    """One slow call in 63 is too much for p95 to be shown; twice the calls show it."""
    bench = Bench(Work([0.010] * 20 + [0.5] + [0.010]))
    bench.budget("p95 <= 20ms", warm_up=0, seconds_max=100).measure(bench.work)
    assert bench.outcomes == {"p95 <= 20ms": "PASS"}
    assert bench.work.calls == 126


def test_drift_does_not_invalidate_what_holds_by_far() -> None:
    bench = Bench(Work([0.001 * number for number in range(1, 100)]))
    bench.budget("p95 <= 1s", seconds_max=100).measure(bench.work)
    assert bench.outcomes == {"p95 <= 1s": "PASS"}


@pytest.mark.parametrize(
    ("limit", "ended"),
    [
        ({"calls_max": 100}, "ended by calls_max = 100, after 2 s of 10 s"),
        ({"seconds_max": 2.0}, "ended by seconds_max = 2, after 100 calls of 2000"),
    ],
)
def test_calls_that_cannot_decide_end_at_a_cap_that_is_named_and_are_not_green(
    limit: dict[str, Any], ended: str
) -> None:
    bench = Bench(Work([0.010, 0.030] * 2_000))
    with pytest.raises(pytest.fail.Exception, match=rf"UNDECIDED p50 <= 20ms: (.*\n)+  {ended}$"):
        bench.budget("p50 <= 20ms", warm_up=0, **limit).measure(bench.work)
    assert bench.work.calls == 100
    assert bench.verdicts[0]["further"] == [ended]


def test_one_call_is_made_however_slow_it_is() -> None:
    bench = Bench(Work([60.0]))
    with pytest.raises(pytest.fail.Exception, match="UNDECIDED p95 <= 100s"):
        bench.budget("p95 <= 100s").measure(bench.work)
    assert bench.work.calls == 2


@pytest.mark.parametrize(("undecided", "ending"), [("skip", pytest.skip.Exception), ("fail", pytest.fail.Exception)])
def test_undecided_ends_as_it_is_told_to(undecided: Undecided, ending: type[BaseException]) -> None:
    bench = Bench(Work([60.0]), undecided=undecided)
    with pytest.raises(ending, match="UNDECIDED"):
        bench.budget("p95 <= 100s").measure(bench.work)


def test_undecided_may_pass_and_is_recorded() -> None:
    bench = Bench(Work([60.0]), undecided="pass")
    bench.budget("p95 <= 100s").measure(bench.work)
    assert bench.outcomes == {"p95 <= 100s": "UNDECIDED"}


def failing(every: int) -> Callable[[], None]:
    calls = 0

    def work() -> None:
        nonlocal calls
        calls += 1
        if calls % every == 0:
            raise ConnectionError

    return work


def test_an_exception_is_the_test_s_own() -> None:
    with pytest.raises(ConnectionError):
        Bench(Work([0.1])).budget("p95 <= 1s").measure(failing(every=3))


def test_an_exception_is_a_failed_call_where_a_budget_is_about_errors() -> None:
    bench = Bench(Work([0.0]))
    bench.budget("errors <= 25%", "p50 <= 1s").measure(failing(every=5))
    assert bench.outcomes == {"errors <= 25%": "PASS", "p50 <= 1s": "PASS"}


def test_calls_that_all_fail_are_too_many_and_say_why() -> None:
    def search() -> None:
        raise ConnectionError("refused")

    with pytest.raises(pytest.fail.Exception) as failed:
        Bench(Work([0.0])).budget("p95 <= 1s", "errors <= 1%").measure(search)
    said = str(failed.value)
    assert "FAIL errors <= 1%: 100% > " in said
    here = f"tests/unit/harness/commands/test_budget_fixture.py:{search.__code__.co_firstlineno + 1}"
    assert f"  63 of 63 calls raised ConnectionError: refused  ({here})" in said
    assert "INVALID p95 <= 1s: Cannot be judged: more requests failed" in said


def test_where_all_calls_may_fail_nothing_is_judged() -> None:
    with pytest.raises(pytest.fail.Exception, match="INVALID errors <= 100%: Cannot be judged: all of 10 requests"):
        Bench(Work([0.0])).budget("errors <= 100%").measure(failing(every=1))


@pytest.mark.parametrize(
    ("budgets", "complaint"),
    [
        ((), "State at least one budget"),
        (("p59 <= 3 parsecs",), "unknown unit 'parsecs'"),
        (("p95 < 3ms",), "write <= for at most"),
        (("cache.hit_rate >= 80%",), "a test has no variants"),
        (("fix1: query.p95 <= 1s",), "a test has no variants"),
        (("query{text=known}.p95 <= 1s",), "a test has no variants"),
        (("query{window=10s}.p95 <= 1s",), "a test has no variants"),
        (("p95 <= 1s abort after 5s",), "a test has no variants"),
        (("query.p95 <= 1s", "add.p95 <= 1s"), "another budget names query"),
        (("p99.9 <= 1s",), "no fewer than 3218 calls can decide this"),
    ],
)
def test_what_cannot_be_meant_is_refused(budgets: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=complaint):
        Bench(Work([0.1])).budget(*budgets)


def test_an_operation_may_be_named() -> None:
    bench = Bench(Work([0.010]))
    bench.budget("query.p95 <= 20ms", "p99.5 <= 20ms").measure(bench.work)
    assert bench.outcomes == {"query.p95 <= 20ms": "PASS", "p99.5 <= 20ms": "PASS"}


def test_what_has_to_be_awaited_is_not_measured_unawaited() -> None:
    bench = Bench(Work([0.1]))
    for function in (bench.work.asynchronous, partial(bench.work.asynchronous, 1)):
        with pytest.raises(pytest.fail.Exception, match="await budget"):
            bench.budget("p95 <= 1s").measure(function)  # type: ignore[unused-coroutine]
    assert bench.work.calls == 0


def test_budgets_may_be_stated_once_and_measured_twice() -> None:
    bench = Bench(Work([0.010]))
    budget = bench.budget
    stated = budget("p95 <= 20ms")
    stated.measure(bench.work)
    stated.measure(bench.work)
    assert budget.unmeasured == []


def test_what_was_stated_and_not_measured_is_known() -> None:
    bench = Bench(Work([0.010]))
    budget = bench.budget
    budget("p95 <= 20ms")
    budget("mean <= 20ms").measure(bench.work)
    assert budget.unmeasured == ["p95 <= 20ms"]


def test_statements_are_those_of_one_call_and_held_to_a_law_in_what_it_returned() -> None:
    bench = Bench(Work([0.0]))
    budget = bench.budget

    def select(rows: int) -> list[int]:
        for _ in range(1 + rows // 500):
            budget.count_statement("connection", "a cursor")
        return list(range(rows))

    budget("statements <= 1 + floor(n / 500)").measure(select, 1_000)
    assert bench.verdicts[0]["measured"] == 3
    with pytest.raises(pytest.fail.Exception, match=r"FAIL statements <= 1: 3 > 1 \(2 over\)"):
        budget("statements <= 1").measure(select, 1_000)


def test_statements_that_nobody_counts_are_not_none() -> None:
    bench = Bench(Work([0.0]))
    for text in ("statements <= 3", "statements <= 0"):
        with pytest.raises(pytest.fail.Exception, match=r"nothing counts statements\. .*budget\.count_statement"):
            bench.budget(text).measure(bench.work)


def test_a_driver_that_hides_its_statements_is_named_and_not_taken_for_none() -> None:
    bench = Bench(Work([0.0]))
    connection = sqlite3.connect(":memory:")
    for text in ("statements <= 3", "statements <= 0", "rows <= 0"):
        with pytest.raises(pytest.fail.Exception, match="sqlite3 hides its statements"):
            bench.budget(text).measure(connection.execute, "SELECT 1")
    earlier = bench.budget
    earlier.count_statement("SELECT 1")
    with pytest.raises(pytest.fail.Exception, match="sqlite3 hides its statements"):
        bench.budget("statements <= 0").measure(connection.execute, "SELECT 1")
    connection.close()


def test_rows_that_nobody_tells_are_not_none() -> None:
    bench = Bench(Work([0.0]))
    budget = bench.budget
    with pytest.raises(pytest.fail.Exception, match=r"INVALID rows <= 3: .*the target did not count rows"):
        budget("rows <= 3").measure(budget.count_statement, "SELECT 1")


def test_statements_on_another_connection_than_the_watched_one_are_not_none() -> None:
    bench = Bench(Work([0.0]))
    budget = bench.budget
    budget.count_statement()
    with pytest.raises(pytest.fail.Exception, match="no statement was seen in any call"):
        budget("statements <= 3").measure(bench.work)
    budget("statements <= 0").measure(bench.work)


async def test_only_a_connection_can_be_watched() -> None:
    with pytest.raises(pytest.fail.Exception, match="object is no connection of asyncpg"):
        await Bench(Work([0.0])).budget.watch(object())


def test_what_nobody_can_count_here_is_invalid() -> None:
    with pytest.raises(pytest.fail.Exception, match="INVALID round_trips <= 3"):
        Bench(Work([0.0])).budget("round_trips <= 3").measure(failing(every=1_000))


def line_of(function: Callable[..., Any], further: int) -> str:
    return f"tests/unit/harness/commands/test_budget_fixture.py:{function.__code__.co_firstlineno + further}"


def test_too_many_statements_are_listed_with_how_often_and_from_where() -> None:
    connection = sqlite3.connect(":memory:")
    bench = Bench(Work([0.0]))
    budget = bench.budget
    connection.set_trace_callback(budget.count_statement)

    def orders() -> None:
        connection.execute("SELECT 1\n   AS one")
        for _ in range(3):
            connection.execute("SELECT 2")

    with pytest.raises(pytest.fail.Exception) as failed:
        budget("statements <= 2").measure(orders)
    lines = str(failed.value).splitlines()
    assert lines[1:] == [
        "  sent by the call with most statements:",
        f"    SELECT 2 ×3 at {line_of(orders, 3)}",  # noqa: RUF001
        f"    SELECT 1 AS one at {line_of(orders, 1)}",
    ]
    connection.close()


def test_a_list_of_statements_ends_and_says_how_many_more_there_are() -> None:
    sent = sent_statements.Sent()
    with sent_statements.counting.call(sent):
        for number in range(12):
            sent_statements.count_statement(b"INSERT INTO a" if number == 0 else f"SELECT a{number} {'x' * 200}")
    lines = sent.lines()
    assert len(lines) == 11
    assert lines[0].startswith("INSERT INTO a at tests/")
    assert all(len(line) < 200 for line in lines)
    assert lines[-1] == "and 2 more"


def test_statements_that_differ_in_their_literals_alone_are_one_that_is_repeated() -> None:
    sent = sent_statements.Sent()
    with sent_statements.counting.call(sent):
        for number in range(3):
            sent_statements.count_statement(
                f"SELECT 'it''s {number}' FROM t1 WHERE a IN (1, {number}) AND b = {number}.5"
            )
    assert sent.lines() == [f"SELECT … FROM t1 WHERE a IN (…) AND b = … ×3 at {line_of_statement()}"]  # noqa: RUF001


def line_of_statement() -> str:
    return line_of(test_statements_that_differ_in_their_literals_alone_are_one_that_is_repeated, 4)


@pytest.mark.parametrize("text", ["BEGIN", " commit", "ROLLBACK TO SAVEPOINT a", b"SAVEPOINT a"])
def test_transaction_control_is_no_statement_whatever_the_driver(text: str | bytes) -> None:
    sent = sent_statements.Sent()
    with sent_statements.counting.call(sent):
        sent_statements.count_statement(text)
    assert sent.total == 0


def test_users_call_at_once_and_each_call_has_its_own_statements() -> None:
    """All meet in each call, so none of them can have been made before another."""
    users = 5
    meeting = threading.Barrier(users, timeout=60)
    bench = Bench(Work([0.0]))
    budget = bench.budget

    def call() -> list[int]:
        budget.count_statement("SELECT 1")
        meeting.wait()
        budget.count_statement("SELECT 2")
        return [1]

    assert budget("statements <= 2", "errors <= 0%", users=users, warm_up=users).measure(call) == [1]
    assert bench.outcomes == {"statements <= 2": "PASS", "errors <= 0%": "PASS"}
    assert bench.verdicts[0]["n"] == 10


async def test_users_that_await_are_tasks() -> None:
    users = 5
    meeting = asyncio.Barrier(users)
    bench = Bench(Work([0.0]))
    budget = bench.budget

    async def call() -> None:
        async with meeting:
            budget.count_statement("SELECT 1")

    await budget("statements <= 1", users=users, warm_up=users).measure_async(call)
    assert bench.verdicts[0]["measured"] == 1


def test_a_user_that_fails_ends_the_others() -> None:
    calls = itertools.count()

    def call() -> None:
        if next(calls) == 20:
            raise ConnectionError("lost")

    with pytest.raises(ConnectionError, match="lost"):
        Bench(Work([0.001])).budget("p99.9 <= 1s", users=3, calls_max=1_000_000, seconds_max=1e6).measure(call)


async def test_a_task_that_fails_ends_the_others() -> None:
    calls = itertools.count()

    async def call() -> None:
        await asyncio.sleep(0)
        if next(calls) == 20:
            raise ConnectionError("lost")

    budget = Bench(Work([0.001])).budget
    with pytest.raises(ConnectionError, match="lost"):
        await budget("p99.9 <= 1s", users=3, calls_max=1_000_000, seconds_max=1e6).measure_async(call)


def test_statements_of_nobody_are_not_counted_as_somebodys() -> None:
    budget = Bench(Work([0.0])).budget

    def call() -> None:
        thread = threading.Thread(target=budget.count_statement, args=("SELECT 1",))
        thread.start()
        thread.join()

    budget("statements <= 1").measure(call)
    with pytest.raises(pytest.fail.Exception, match=r"nobody knows which user's they are\. Leave `users` out"):
        budget("statements <= 1", users=2).measure(call)


def test_nobody_who_calls_is_refused() -> None:
    with pytest.raises(pytest.fail.Exception, match="users = 0: at least one has to call"):
        Bench(Work([0.0])).budget("p95 <= 1s", users=0)


def test_several_users_without_asyncio_are_refused_and_not_run_one_by_one() -> None:
    bench = Bench(Work([0.0]))
    with pytest.raises(pytest.fail.Exception, match=r"under asyncio alone\. Leave `users` out"):
        bench.budget("p95 <= 1s", users=2).measure_async(bench.work.asynchronous).send(None)


@dataclass(eq=False)
class Open:
    """An open connection, as asyncpg's are asked."""

    in_transaction: bool = False
    at_work: bool = False
    received: list[str] = field(default_factory=list)

    def is_closed(self) -> bool:
        return False

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    async def execute(self, query: str) -> None:
        if self.at_work:
            raise RuntimeError("another operation is in progress")
        self.received.append(query)


@pytest.mark.parametrize(
    ("others", "have_reported"),
    [([], True), ([Open(in_transaction=True)], False), ([Open(at_work=True)], False), (None, False)],
    ids=["idle", "in a transaction", "at work", "none"],
)
async def test_what_the_server_read_is_known_only_once_every_connection_has_told_it(
    others: list[Open] | None, *, have_reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Open()
    monkeypatch.setattr(sent_statements, "connections", [] if others is None else [idle, *others])
    assert await sent_statements.report_statistics("SELECT flush()") is have_reported
    assert idle.received == ([] if others is None else ["SELECT flush()"])
