"""What the server knows of a target that this does not tell: transactions rolled back, and too few sessions."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.measuring.places import Place, Run
from harness.measuring.probes.protocol import AskServer
from harness.measuring.progress import Silent
from harness.measuring.servers.service import ServiceProcesses
from harness.measuring.surroundings import AtPlace
from harness.measuring.turns import at_once
from harness.record import PhaseRecord
from tests.records import phase


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Unread:
    """A log that is not the run's to read."""

    last_failure = ""

    async def read(self) -> bool:
        return False


def surroundings(
    *answers: dict[str, int],
    tells_plans: bool = False,
    ask_inside: AskServer | None = None,
    written: Callable[[str, PhaseRecord], None] | None = None,
) -> tuple[AtPlace, list[str]]:
    """At a place whose server gives these answers, one after the other."""
    left = list(answers)

    async def ask(query: str, *values: object) -> Any:
        del query, values
        return left.pop(0)

    progress = Notes()
    scenario = SimpleNamespace(
        works_on_database_of_run=lambda _: True,
        tells_plans=tells_plans,
        tells_pool=False,
        phases=[SimpleNamespace(name="mix", is_timed=True, total=lambda _: 20)],
        seed=3,
        side_by_side=1,
        timeline=[],
        watched_in=lambda _: "",
    )
    run = SimpleNamespace(
        scenario=scenario, progress=progress, journal=SimpleNamespace(disruption=print, phase=written), sees_waits=False
    )
    context = SimpleNamespace(variant="current")
    place = SimpleNamespace(
        context=context, database="round_1", ask=ask, log=Unread(), disruptor=None, ask_inside=ask_inside
    )
    at = AtPlace(cast("Run", run), cast("Place", place), "current", 1, at_once, ServiceProcesses(None))
    return at, progress.notes


async def test_transactions_that_were_rolled_back_and_not_reported_are_warned_of() -> None:
    at, notes = surroundings({"transactions": 7, "sessions": 0})
    at.failed["mix"] = 3
    await at.closed()
    [note] = notes
    assert note.startswith("warning: current: the server rolled back 7 transactions, warm-up included, and the target ")
    assert "reported 3 failed requests" in note


async def test_what_is_rolled_back_is_counted_once_the_sessions_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.measuring.surroundings.SESSION_ENDS_POLL_S", 0)
    at, notes = surroundings({"transactions": 0, "sessions": 2}, {"transactions": 1, "sessions": 0})
    await at.closed()
    assert "the server rolled back 1 transaction," in notes[0]


@pytest.mark.parametrize(("transactions", "tells_plans"), [(3, False), (7, True)])
async def test_what_was_reported_and_who_rolls_back_on_purpose_are_not_warned_of(
    transactions: int, *, tells_plans: bool
) -> None:
    at, notes = surroundings({"transactions": transactions, "sessions": 0}, tells_plans=tells_plans)
    at.failed["mix"] = 3
    await at.closed()
    assert not notes


@pytest.mark.parametrize(("polls_until_ended", "is_counted"), [(3, True), (1_000, False)], ids=["soon", "never"])
async def test_a_whole_pass_is_counted_only_once_the_sessions_have_ended(
    polls_until_ended: int, *, is_counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.measuring.surroundings.SESSION_ENDS_POLL_S", 0)
    asked = itertools.count(1)
    written: list[PhaseRecord] = []

    async def ask(query: str, *values: object) -> Any:
        del query, values
        return {"sessions": int(next(asked) < polls_until_ended)}

    async def count(_: AskServer) -> dict[str, float]:
        return {"table_rows notes": 20.0}

    monkeypatch.setattr("harness.measuring.surroundings.counts_by_table", count)
    at, _ = surroundings(ask_inside=ask, written=lambda _, record: written.append(record))
    await at.closed()
    [whole] = written
    assert ("rows_read" not in whole.uncounted) is is_counted


@pytest.mark.parametrize(("users", "sessions", "warned"), [(4, 2, 1), (2, 2, 0), (4, 0, 0), (None, 1, 0)])
async def test_a_pool_with_fewer_sessions_than_there_are_users_is_warned_of(
    users: int | None, sessions: int, warned: int
) -> None:
    at, notes = surroundings({"sessions": sessions})
    async with at.beside(cast("Any", SimpleNamespace(name="mix")), 0.0, 0.0):
        pass
    at.ended(phase("mix", users=users))
    assert len(notes) == warned
    assert all("4 users asked side by side in mix, and the target has 2 sessions" in note for note in notes)
