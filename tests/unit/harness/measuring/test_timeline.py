"""A timeline is played when it says, one entry after the other, and restores what it began on whatever happens."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from harness.errors import ProvisioningError
from harness.measuring.scenario import Action, TimelineEntry
from harness.measuring.servers.provisioners.protocol import Disruption, Server
from harness.measuring.timeline import Timeline, refuse_impossible
from harness.record import DisruptionRecord
from tests.clocks import ManualClock

BEGUN_S = 10.0
"""When the phase began, on the clock of the timed pass."""


def entry(action: Action, at_s: float, for_s: float | None = None) -> TimelineEntry:
    return TimelineEntry(phase="mix", action=action, at_s=at_s, for_s=for_s)


class Played:
    """A timeline on a clock that does not wait, and what it did and recorded."""

    def __init__(self, *entries: TimelineEntry, restoring_s: float = 0.0, failure: Exception | None = None) -> None:
        self.clock = ManualClock()
        self.clock.time_s = BEGUN_S
        self.done: list[tuple[float, str]] = []
        self.records: list[DisruptionRecord] = []
        self.restoring_s, self.failure = restoring_s, failure
        self.timeline = Timeline(entries, 1, 0.0, BEGUN_S, self.clock, self.disrupted, self.records.append)

    @asynccontextmanager
    async def disrupted(self, action: Action) -> AsyncGenerator[None]:
        self.done.append((self.clock.now(), action))
        if self.failure:
            raise self.failure
        try:
            yield
        finally:
            await self.clock.sleep(self.restoring_s)
            self.done.append((self.clock.now(), "restored"))

    async def during(self, phase_s: float, failure: type[Exception] | None = None) -> None:
        async with self.timeline.playing():
            await self.clock.sleep(phase_s)
            if failure:
                raise failure

    @property
    def times(self) -> list[tuple[str, float | None, float | None]]:
        return [(each.action, each.started_s, each.ended_s) for each in self.records]


async def test_an_entry_begins_at_its_time_of_the_phase_and_lasts_as_long_as_it_says() -> None:
    played = Played(entry("pause", 2.0, 3.0))
    await played.during(60.0)
    assert played.records == [
        DisruptionRecord(round=1, phase="mix", action="pause", planned_s=2.0, started_s=12.0, ended_s=15.0)
    ]


async def test_entries_are_played_in_the_order_of_their_times() -> None:
    played = Played(entry("kill", 5.0), entry("terminate_backends", 1.0))
    await played.during(60.0)
    assert played.times == [("terminate_backends", 11.0, 11.0), ("kill", 15.0, 15.0)]


async def test_an_entry_waits_until_the_one_before_it_is_mended() -> None:
    played = Played(entry("restart", 1.0, 1.0), entry("kill", 1.5), restoring_s=4.0)
    await played.during(60.0)
    assert played.times == [("restart", 11.0, 16.0), ("kill", 16.0, 20.0)]


async def test_what_is_under_way_when_the_phase_ends_is_mended_then_and_the_rest_is_not_begun() -> None:
    played = Played(entry("pause", 1.0, 30.0), entry("kill", 40.0))
    await played.during(5.0)
    assert played.times == [("pause", 11.0, 15.0), ("kill", None, None)]
    assert played.done == [(11.0, "pause"), (15.0, "restored")]


async def test_a_run_that_fails_meanwhile_is_mended() -> None:
    played = Played(entry("pause", 1.0, 30.0))
    with pytest.raises(ExceptionGroup) as raised:
        await played.during(5.0, ZeroDivisionError)
    assert raised.group_contains(ZeroDivisionError)
    assert played.done == [(11.0, "pause"), (15.0, "restored")]


async def test_what_cannot_be_mended_ends_the_run_and_is_recorded_without_an_end() -> None:
    played = Played(entry("kill", 1.0), failure=ProvisioningError("gone"))
    with pytest.raises(ExceptionGroup) as raised:
        await played.during(60.0)
    assert raised.group_contains(ProvisioningError, match="gone")
    assert played.times == [("kill", 11.0, None)]


async def test_a_phase_without_entries_is_left_alone() -> None:
    with pytest.raises(ZeroDivisionError):
        await Played().during(0.0, ZeroDivisionError)


def server_that_cannot(cannot: Mapping[Disruption, str]) -> Server:
    return cast("Server", SimpleNamespace(cannot=cannot, facts=SimpleNamespace(provisioner="external")))


def test_what_a_server_cannot_do_is_refused_with_its_place_and_the_way_out() -> None:
    with pytest.raises(ProvisioningError, match=r"kill at 3 s of 'mix'.*external\. Use another\."):
        refuse_impossible([entry("kill", 3.0)], server_that_cannot({"kill": "Use another."}))


def test_the_network_can_always_be_cut() -> None:
    refuse_impossible([entry("cut_network", 3.0, 1.0)], server_that_cannot({"kill": "Use another."}))
