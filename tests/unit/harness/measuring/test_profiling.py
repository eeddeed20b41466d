"""What the profiling pass asks of a target, in which order, and what it keeps of it."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.errors import TargetError
from harness.journal import open_journal
from harness.measuring import allocations, profiling, scenario_files
from harness.measuring.operations import Request, Workload
from harness.measuring.plans import ExplainedCost, StatementPlan
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profiling import REQUESTS_MIN, WARM_UP, ProfilingPass, requests_of
from harness.measuring.progress import Silent
from harness.measuring.scenario import ProfileSettings
from harness.measuring.targets.null import OpenNull
from harness.measuring.targets.protocol import Response
from harness.record import PlanRecord

COST = ExplainedCost(planning_ms=1.0, execution_ms=2.0, rows=3, blocks_hit=4, blocks_read=5, wal_bytes=6)


class Observed(OpenNull):
    """Notes which requests came while a profiler watched."""

    def __init__(self, perform: Callable[[], None]) -> None:
        self._perform = perform
        self.is_watched = False
        self.asked: list[tuple[object, bool]] = []

    async def perform(self, request: Request) -> Response:
        self.asked.append((request.arguments["number"], self.is_watched))
        self._perform()
        return await super().perform(request)

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        assert executed
        return (StatementPlan(PlanRecord(statement="query.search"), COST),)


@pytest.fixture(autouse=True)
def without_memray(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have requests of its own, where it is installed."""
    monkeypatch.setattr(allocations, "MODULE", "memray_that_is_not_installed")


class Watch:
    """A profiler that counts what it has seen."""

    def __init__(self, target: Observed) -> None:
        self._target = target

    @asynccontextmanager
    async def observe(self, subject: ProfiledOperation) -> AsyncGenerator[dict[str, Any]]:
        seen: dict[str, Any] = {}
        self._target.is_watched = True
        before = len(self._target.asked)
        yield seen
        self._target.is_watched = False
        seen["waits"] = {subject.operation: len(self._target.asked) - before}


class Failures(Silent):
    def __init__(self) -> None:
        self.failed: list[str] = []

    def failure(self, variant: str, operation: str, error: TargetError) -> None:
        self.failed.append(f"{variant} {operation} {error.kind}")


def requests(number: int, **fields: Any) -> list[Request]:
    return [Request("query", {"number": each}, **fields) for each in range(number)]


async def profiled(
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    round_number: int,
    *,
    time_s: float = 60.0,
    perform: Callable[[], None] = lambda: None,
) -> tuple[Observed, list[Mapping[str, Any]], Failures]:
    target, progress = Observed(perform), Failures()
    monkeypatch.setattr(profiling, "PROFILERS", {"watch": Watch(target)})
    with open_journal(directory / "run") as entries:
        settings = ProfileSettings(rounds=2, requests=4, time_s=time_s)
        part = ProfilingPass(target, "batched", round_number, settings, entries, progress, "", "", frozenset())
        await part.run({"query": requests(WARM_UP + 8)})
    lines = entries.path.read_text(encoding="utf-8").splitlines()
    return target, [json.loads(line) for line in lines], progress


@pytest.mark.parametrize(
    ("round_number", "order"),
    [
        (1, [(2, False), (4, False), (6, False), (8, False), (3, True), (5, True), (7, True), (9, True)]),
        (2, [(3, True), (5, True), (7, True), (9, True), (2, False), (4, False), (6, False), (8, False)]),
    ],
)
async def test_half_of_the_requests_are_watched_and_either_half_goes_first_in_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, round_number: int, order: list[tuple[int, bool]]
) -> None:
    target, _, _ = await profiled(monkeypatch, tmp_path, round_number)
    assert target.asked[:WARM_UP] == [(0, False), (1, False)]
    assert target.asked[WARM_UP:] == order


def entries_of(entries: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [entry for entry in entries if entry["kind"] == kind]


async def test_what_profilers_saw_is_kept_with_what_it_cost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, entries, _ = await profiled(monkeypatch, tmp_path, 1)
    (profile,) = entries_of(entries, "profile")
    assert (profile["variant"], profile["operation"], profile["round"], profile["requests"]) == (
        *("batched", "query", 1),
        4,
    )
    assert profile["waits"] == {"query": 4}
    assert min(profile["profiled_s"], profile["plain_s"]) > 0


@pytest.mark.parametrize(("round_number", "times"), [(1, 0), (2, 1)])
async def test_statements_are_executed_once_after_the_last_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, round_number: int, times: int
) -> None:
    _, entries, _ = await profiled(monkeypatch, tmp_path, round_number)
    kept = entries_of(entries, "statement_profile")
    assert [(each["statement"], each["execution_ms"]) for each in kept] == [("query.search", 2.0)] * times


async def test_a_slow_operation_ends_with_its_time_and_has_two_requests_at_least(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, entries, _ = await profiled(monkeypatch, tmp_path, 1, time_s=1e-9)
    (profile,) = entries_of(entries, "profile")
    assert profile["requests"] == REQUESTS_MIN


async def test_a_request_that_fails_is_told_and_ends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail() -> None:
        raise TargetError("Timeout", "too slow")

    target, _, progress = await profiled(monkeypatch, tmp_path, 1, perform=fail)
    assert progress.failed == ["batched query Timeout"] * len(target.asked)
    assert len(target.asked) == WARM_UP + 8


def drawn(*asked: Request) -> list[tuple[object, bool | None]]:
    scenario = scenario_files.load_scenario("smoke")
    wanted = requests_of(scenario, Workload((), {"mix": asked}), ProfileSettings(rounds=2, requests=2))
    return [(each.arguments["number"], each.first_time_text) for each in wanted["query"]]


def test_known_texts_are_profiled_again_and_again() -> None:
    known, new = requests(2, first_time_text=False), requests(2, first_time_text=True)
    assert drawn(*new, *known) == [(0, False), (1, False)] * 3


def test_first_time_texts_are_where_there_are_no_others() -> None:
    assert drawn(*requests(9, first_time_text=True)) == [(number, True) for number in range(WARM_UP + 4)]
