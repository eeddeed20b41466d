"""What every probe promises: a new one in the registry is held to this without an edit."""

from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from harness.measuring.observation import asking
from harness.measuring.probes import PROBES
from harness.measuring.probes.protocol import NotObserved, Observable, Probe
from harness.measuring.server_log import ServerLog
from harness.measuring.servers.network import ProxyCounters
from harness.measuring.servers.provisioners.protocol import Server


async def able() -> bool:
    return True


async def unable() -> bool:
    return False


async def unseen() -> None:
    return None


async def used() -> float:
    return 1.0


async def resident() -> int:
    return 2**20


async def passed() -> ProxyCounters:
    return ProxyCounters(connections=1, round_trips=2, bytes_to_server=3, bytes_to_client=4)


@pytest.fixture(params=sorted(PROBES))
def probe(request: pytest.FixtureRequest) -> Probe:
    return PROBES[request.param]


@pytest.fixture
async def observable(server: Server, database_url: str) -> AsyncIterator[Observable]:
    async with asking(server.admin_url) as ask:
        name = urlsplit(database_url).path.removeprefix("/")
        failed = ServerLog(server.log_on, name).failed
        yield Observable(ask, name, server.cpu_s, able, used, failed, resident, passed)


def test_it_names_its_counters_with_their_units_and_says_what_they_are(probe: Probe) -> None:
    assert probe.counters
    for name, clause in probe.counters.items():
        assert name.rpartition("_")[2] in {
            "s",
            "bytes",
            "files",
            "images",
            "read",
            "hit",
            "written",
            "periods",
            "statements",
            "trips",
            "sessions",
        }, name
        assert clause[0].islower()
        assert not clause.endswith(".")


async def test_it_reads_each_of_its_counters_and_none_ever_falls(probe: Probe, observable: Observable) -> None:
    before, after = await probe.read(observable), await probe.read(observable)
    assert before.keys() == after.keys() == probe.counters.keys()
    assert all(value >= 0 for value in before.values())
    if not probe.is_level:
        assert all(after[name] >= value for name, value in before.items())


async def test_what_it_cannot_see_it_says_and_never_guesses(probe: Probe) -> None:
    async with asking("postgresql://nobody@127.0.0.1:1/none") as ask:
        try:
            read = await probe.read(Observable(ask, "none", unseen, unable, unseen))
        except NotObserved:
            return
    assert read.keys() == probe.counters.keys()


def test_no_two_probes_share_a_counter() -> None:
    names = Counter(name for probe in PROBES.values() for name in probe.counters)
    assert set(names.values()) == {1}
