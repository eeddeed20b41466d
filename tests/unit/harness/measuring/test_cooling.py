"""A database is made cold in the way that its server allows, or the run says why it cannot be."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from harness.errors import ExitCode, ProvisioningError, UsageError, exit_code_of
from harness.measuring import cooling as cooling_module
from harness.measuring.cooling import EVICT, EVICTIONS_TRIED_MAX, Evictions, Restarts, cooling, refuse_cold
from harness.measuring.probes.protocol import NotObserved
from harness.measuring.scenario import Scenario
from harness.measuring.servers.provisioners.protocol import Server


class Shared:
    """A server's memory, in which blocks of the database come back as often as somebody reads them meanwhile."""

    def __init__(self, *, read_meanwhile: int) -> None:
        self.blocks, self.read_meanwhile, self.evicted = 300, read_meanwhile, 0

    async def ask(self, query: str, *values: object) -> asyncpg.Record:
        assert values == ("orders",)
        if query == EVICT:
            self.evicted += 1
            self.blocks = 1 if self.evicted <= self.read_meanwhile else 0
        return cast("asyncpg.Record", [self.blocks])


@pytest.mark.parametrize("read_meanwhile", [0, 3])
async def test_blocks_are_evicted_until_none_is_left_and_sessions_stay(read_meanwhile: int) -> None:
    shared = Shared(read_meanwhile=read_meanwhile)
    assert not await Evictions(shared.ask).cool("orders")
    assert (shared.blocks, shared.evicted) == (0, read_meanwhile + 1)


async def test_a_database_that_somebody_keeps_warm_is_not_called_cold() -> None:
    shared = Shared(read_meanwhile=EVICTIONS_TRIED_MAX)
    with pytest.raises(ProvisioningError, match=r"its requests are not cold\. End what else works on it"):
        await Evictions(shared.ask).cool("orders")


async def test_a_server_that_does_not_answer_is_told() -> None:
    async def ask(query: str, *values: object) -> asyncpg.Record:
        del query, values
        raise NotObserved("the server did not say it (it is gone)")

    with pytest.raises(ProvisioningError, match="it is gone"):
        await Evictions(ask).cool("orders")


class Asked:
    """A server that restarts, or may not; `standbys` follow it."""

    admin_url = "postgresql://somebody@127.0.0.1:1/postgres"

    def __init__(self, *, restarts: bool, standbys: int = 0) -> None:
        self.cannot = {} if restarts else {"restart": "It is not ours."}
        self.standbys, self.done = standbys, list[str]()

    def standby_urls(self, url: str) -> tuple[str, ...]:
        return (url,) * self.standbys

    async def create_database(self, name: str) -> str:
        return f"postgresql://somebody@127.0.0.1:1/{name}"

    @asynccontextmanager
    async def disrupted(self, disruption: str) -> AsyncGenerator[None]:
        self.done.append(disruption)
        yield


class Wanted:
    """A scenario whose only phase is cold, or not, on a database of the run or another's."""

    variant_names = ("current",)

    def __init__(self, *, cold: bool, ours: bool) -> None:
        self.phases, self.ours = (SimpleNamespace(name="newest_cold", is_cold=cold),), ours

    def works_on_database_of_run(self, variant: str) -> bool:
        assert variant == "current"
        return self.ours


def wanted(*, cold: bool = True, ours: bool = True) -> Scenario:
    return cast("Scenario", Wanted(cold=cold, ours=ours))


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def connected(url: str) -> AbstractAsyncContextManager[Any]:
        raise asyncpg.FeatureNotSupportedError(f'extension "pg_buffercache" is not available in {url[-8:]}.')

    monkeypatch.setattr(cooling_module, "connected", connected)


@pytest.mark.usefixtures("refused")
async def test_a_server_of_the_runs_own_that_evicts_nothing_is_restarted() -> None:
    server = Asked(restarts=True)
    async with cooling(wanted(), cast("Server", server)) as way:
        assert isinstance(way, Restarts)
        assert await way.cool("orders")
    assert server.done == ["restart"]


@pytest.mark.usefixtures("refused")
async def test_a_server_that_allows_neither_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ProvisioningError) as refusal:
        async with cooling(wanted(), cast("Server", Asked(restarts=False))):
            pytest.fail("it was let through")
    assert exit_code_of(refusal.value) is ExitCode.USAGE
    assert 'It evicts no blocks (extension "pg_buffercache" is not available in evicting)' in str(refusal.value)
    assert "Use a superuser, the `embedded` provisioner, or leave `cache` out of the phase." in str(refusal.value)


async def test_whose_caches_would_stay_warm_is_refused() -> None:
    for scenario, server, said in (
        (wanted(), Asked(restarts=True, standbys=1), "`standbys`, whose caches stay warm"),
        (wanted(ours=False), Asked(restarts=True), "a database of its own, which is not the run's to empty"),
    ):
        with pytest.raises(ProvisioningError, match=said):
            async with cooling(scenario, cast("Server", server)):
                pytest.fail("it was let through")


async def test_a_run_without_cold_phases_asks_nothing_of_its_server() -> None:
    async with cooling(wanted(cold=False), cast("Server", None)) as way:
        assert way is None


def test_two_revisions_have_no_cold_phase() -> None:
    refuse_cold(wanted(cold=False))
    with pytest.raises(UsageError, match="newest_cold is cold, and two revisions are asked by processes of their own"):
        refuse_cold(wanted())
