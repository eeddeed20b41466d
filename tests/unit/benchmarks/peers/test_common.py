"""What peers have in common: versions that are told, filters that are not there, and embeddings that are known."""

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import pytest
from peers import common, target
from peers.bare_asyncpg import BareAsyncpg

from harness.errors import TargetError, UsageError


def test_a_peer_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(UsageError, match="asyncpg needs asyncpg, of the extra `peers`, which is not installed"):
        common.installed_version(BareAsyncpg)


def test_a_module_that_is_not_there_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> Any:
        raise ModuleNotFoundError(name="psycopg_pool")

    monkeypatch.setattr(target, "import_module", absent)
    with pytest.raises(UsageError, match="psycopg needs psycopg_pool, of the extra `peers`"):
        target.peer_named("psycopg")


@pytest.mark.parametrize("version", ["0.33.0", "0.3", "1.32.1", "0.320"])
def test_another_version_names_the_one_that_the_peer_was_written_for(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    with pytest.raises(UsageError, match=rf"was written for asyncpg 0\.32, and {version} is installed"):
        common.installed_version(BareAsyncpg)


@pytest.mark.parametrize("version", ["0.32", "0.32.7"])
def test_the_version_that_it_was_written_for_is_told(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    assert common.installed_version(BareAsyncpg) == version


class NoFilter:
    """What a target keeps open."""

    name = "frontier"
    filters = False


async def test_a_filter_that_a_peer_has_not_is_an_error_of_its_own() -> None:
    unfiltered = common.PeerTarget()
    unfiltered.opened = NoFilter()
    with pytest.raises(TargetError, match="frontier has no filter by owner"):
        await unfiltered.search_tenant(0)


async def test_fewer_rows_than_asked_are_told_as_results(monkeypatch: pytest.MonkeyPatch) -> None:
    class Five:
        name = "five"
        filters = True

        async def search(self, *_: object) -> Sequence[str]:
            return ["one"] * 5

    found = common.PeerTarget()
    found.opened = Five()
    monkeypatch.setattr(common, "questions", lambda: ["what?"])
    assert (await found.search(0)).results == 5


async def test_all_ask_for_the_same_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "_all_asked", dict)
    embeddings = common.Embeddings(0)
    vector = await embeddings.of("a walk in the rain")
    assert await embeddings.floats("a walk in the rain") == [float(each) for each in vector]
    assert embeddings.waited_for("a walk in the rain") == embeddings.floats_at_once("a walk in the rain")
    assert len(vector) == common.DIMENSIONS


def test_every_peer_has_both_columns_and_ours_one() -> None:
    assert len(target.Peers.variants) == 2 * (len(target.MODULES) - len(target.OURS)) + len(target.OURS)
    assert not {*target.OURS} & {*target.Filtered.variants}


def test_nothing_is_reported_to_the_makers_of_a_peer() -> None:
    import os  # noqa: PLC0415 -- what the import above has set

    assert os.environ["MEM0_TELEMETRY"] == "False"
    assert os.environ["HAYSTACK_TELEMETRY_ENABLED"] == "False"
