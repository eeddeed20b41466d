"""In which order execution measures, when it samples on, and what it does when a run fails."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from harness import journal
from harness.errors import Aborted
from harness.journal import Journal, Resumable
from harness.measuring import scenario_files
from harness.measuring.execution import LOG_FILE, Rounds, keeping_log, sample_on
from harness.measuring.hosts.here import ThisMachine
from harness.measuring.operations import Workload
from harness.measuring.places import Run
from harness.measuring.progress import Silent
from harness.measuring.recording import header
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.null import NullTarget
from harness.measuring.turns import Gate, TurnTaker
from harness.record import RunRecord


class Talkative:
    """A server that has only a log."""

    def __init__(self, log: str) -> None:
        self._log = log

    async def log(self) -> str:
        return self._log


async def run(log: str, directory: Path, failure: type[BaseException] | None) -> None:
    async with keeping_log(cast("Server", Talkative(log)), directory):
        if failure:
            raise failure


async def test_the_log_of_a_failed_run_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await run("FATAL: out of memory", tmp_path, ZeroDivisionError)
    assert (tmp_path / LOG_FILE).read_text(encoding="utf-8") == "FATAL: out of memory"


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_a_server_without_a_log_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await run("", tmp_path, ZeroDivisionError)
    assert not files_in(tmp_path)


async def test_a_run_that_succeeds_leaves_no_file(tmp_path: Path) -> None:
    await run("LOG: ready", tmp_path, None)
    assert not files_in(tmp_path)


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Recorded:
    """Parts that note each of their turns, of which every one has two; the variant `failing` fails in its second."""

    def __init__(self, failing: str = "") -> None:
        self.progress = Notes()
        self.turns: list[tuple[str, int]] = []
        self._failing = failing

    def parts(self, names: Sequence[str], number: int, _workload: Workload) -> Mapping[str, TurnTaker]:
        def part(name: str) -> TurnTaker:
            async def work(gate: Gate) -> None:
                self.turns.append((name, number))
                await gate()
                if name == self._failing:
                    raise Aborted("a budget")
                self.turns.append((name, number))

            return work

        return {name: part(name) for name in names}


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[Journal]:
    with journal.open_journal(tmp_path / "run") as opened:
        yield opened


def rounds(entries: Journal, recorded: Recorded, *settings: str) -> Rounds:
    chosen = scenario_files.load_scenario("smoke", settings=settings)
    entries.write("run", header(chosen, "run"))
    run = Run(chosen, NullTarget(), cast("Server", None), None, entries, recorded.progress, ThisMachine(1))
    return Rounds(run, recorded.parts, started=0.0)


@pytest.mark.parametrize(("slices", "order"), [(1, "aabb"), (2, "abab")])
async def test_variants_take_turns_where_phases_are_cut_into_slices(entries: Journal, slices: int, order: str) -> None:
    recorded = Recorded()
    measured = rounds(entries, recorded, f"slices={slices}")
    await measured.measure(["a", "b"], 1, measured.run.scenario.workload_of(1))
    assert recorded.turns == [(name, 1) for name in order]
    assert set(measured.longest_s) == {"a", "b"}


async def test_a_variant_that_is_aborted_in_its_turn_ends_the_round(entries: Journal) -> None:
    recorded = Recorded(failing="a")
    measured = rounds(entries, recorded, "slices=2")
    with pytest.raises(ExceptionGroup) as raised:
        await measured.measure(["a", "b"], 1, measured.run.scenario.workload_of(1))
    assert raised.group_contains(Aborted)
    assert recorded.turns == [("a", 1), ("b", 1)]


async def test_a_round_of_which_nothing_is_left_measures_nothing(entries: Journal) -> None:
    recorded = Recorded()
    measured = rounds(entries, recorded, "slices=2")
    await measured.measure([], 1, measured.run.scenario.workload_of(1))
    assert not recorded.turns


async def test_rounds_beyond_the_planned_ones_are_of_those_that_want_them(entries: Journal) -> None:
    recorded = Recorded()
    looks = iter([{"a": "few samples", "b": "few samples"}, {"b": "few samples"}, {}])
    measured = rounds(entries, recorded, "sampling.time_s_max=60")
    await sample_on(measured, lambda _: next(looks))
    assert list(dict.fromkeys(recorded.turns)) == [("a", 2), ("b", 2), ("b", 3)]
    assert recorded.progress.notes == ["Sampling on, a, b: few samples", "Sampling on, b: few samples"]


async def test_no_round_begins_that_would_take_longer_than_is_left(entries: Journal) -> None:
    recorded = Recorded()
    measured = rounds(entries, recorded, "sampling.time_s_max=60")
    measured.longest_s["a"] = 61.0
    await sample_on(measured, lambda _: {"a": "few samples"})
    assert not recorded.turns
    assert recorded.progress.notes == ["No further round: it takes some 61 s, and 60 s are left for it."]


async def test_a_run_without_time_for_it_is_not_looked_at(entries: Journal) -> None:
    def look(_record: RunRecord) -> Mapping[str, str]:
        pytest.fail("looked")

    await sample_on(rounds(entries, Recorded(), "sampling.time_s_max=0"), look)


async def test_a_run_that_goes_on_samples_on_after_its_last_round(entries: Journal) -> None:
    recorded = Recorded()
    measured = rounds(entries, recorded, "sampling.time_s_max=60")
    resumed = Resumable(journal.read(entries.path), frozenset({("a", 1), ("a", 4)}), sampled_on_s=50.0)
    looks = iter([{"a": "few samples"}, {}])
    await sample_on(measured, lambda _: next(looks), resumed)
    assert set(recorded.turns) == {("a", 5)}
