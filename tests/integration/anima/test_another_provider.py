"""A service is started on memories that another provider embedded."""

import asyncio

import pytest

from anima.assembly import open_anima
from anima.embeddings.protocol import EmbeddingProvider, EmbeddingSettings, ProviderCalls
from anima.errors import EmbeddingUnavailable, InvalidInput
from anima.model import NewMemory
from anima.provider_choice import chosen, warn_of_another_maker
from anima.strategy import BATCHED
from tests.memories import EAST, StatedEmbeddings
from tests.providers import CountedProvider

CONTENT = "a day at sea"
NOBODY = EmbeddingSettings(ollama_url="http://127.0.0.1:9")
OF_A_MODEL = StatedEmbeddings({CONTENT: EAST})
OFFLINE = StatedEmbeddings()


async def add(url: str, provider: EmbeddingProvider) -> None:
    async with open_anima(url, BATCHED, provider) as anima:
        await anima.memory.add(NewMemory.from_wire({"content": CONTENT}))


async def test_without_a_name_the_maker_of_what_is_stored_serves(database_url: str) -> None:
    assert (await chosen(NOBODY, database_url, is_named=False)).provider == "hashing"
    await add(database_url, OF_A_MODEL)
    choice = await chosen(NOBODY, database_url, is_named=False)
    assert choice.provider == "ollama"
    assert "were not embedded offline" in choice.remark


async def test_a_name_is_taken_as_it_is(database_url: str) -> None:
    await add(database_url, OFFLINE)
    assert await chosen(NOBODY, database_url, is_named=True) == ("ollama", "")
    with pytest.raises(InvalidInput, match="There is no embedding provider 'olama'"):
        await chosen(EmbeddingSettings(provider="olama"), database_url, is_named=True)


@pytest.mark.parametrize(
    ("stored_by", "served_by", "is_warned"),
    [
        (OFFLINE, StatedEmbeddings(name="now"), False),
        (OF_A_MODEL, StatedEmbeddings(name="now"), True),
        (OFFLINE, StatedEmbeddings({CONTENT: EAST}, name="now"), True),
        (OFFLINE, CountedProvider("now", EmbeddingUnavailable("Down.")), False),
    ],
    ids=["the same", "now offline", "now a model", "nobody knows"],
)
async def test_it_is_said_when_stored_memories_are_another_providers(
    database_url: str,
    caplog: pytest.LogCaptureFixture,
    stored_by: EmbeddingProvider,
    served_by: EmbeddingProvider,
    *,
    is_warned: bool,
) -> None:
    await add(database_url, stored_by)
    async with open_anima(database_url, BATCHED, OFFLINE) as anima:
        await warn_of_another_maker(anima.memory.database, served_by, asyncio.Event())
    warnings = [message for message in caplog.messages if "embedded by another provider or model than now" in message]
    assert len(warnings) == is_warned


class Unanswering(CountedProvider):
    """Has a server that has not answered yet."""

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return (ProviderCalls(self.name, "closed", in_flight=0, answered=0, failed=0, invalid=0, rejected=0),)


async def test_a_server_that_has_not_answered_a_request_is_not_asked_beside_them(database_url: str) -> None:
    await add(database_url, OFFLINE)
    provider, stop = Unanswering(), asyncio.Event()
    async with open_anima(database_url, BATCHED, OFFLINE) as anima:
        asking = asyncio.create_task(warn_of_another_maker(anima.memory.database, provider, stop))
        await asyncio.sleep(0)
        stop.set()
        await asking
    assert provider.texts == []


async def test_the_end_of_the_service_does_not_wait_for_the_answer(database_url: str) -> None:
    await add(database_url, OFFLINE)
    silent, stop = CountedProvider(), asyncio.Event()
    silent.open.clear()
    async with open_anima(database_url, BATCHED, OFFLINE) as anima:
        asking = asyncio.create_task(warn_of_another_maker(anima.memory.database, silent, stop))
        stop.set()
        await asking
