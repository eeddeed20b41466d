"""Which provider serves where none is named, and when it is said that stored memories are another's."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from anima.embeddings import PROVIDERS
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.ollama import OllamaEmbeddings, Presence
from anima.embeddings.protocol import EmbeddingProvider, EmbeddingSettings
from anima.errors import EmbeddingUnavailable, InvalidInput
from anima.provider_choice import Choice, Stored, choose, is_maker
from anima.settings import Settings
from tests.providers import CountedProvider

SETTINGS = EmbeddingSettings()
TEXTS = ("a day at sea", "a night ashore")
OFFLINE = [Stored(text, hashed_vector(text).tolist()) for text in TEXTS]
OF_A_MODEL = [Stored(text, hashed_vector(f"another {text[::-1]}").tolist()) for text in TEXTS]


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> CountedProvider:
    """A provider in the place of the extra's, which need not be installed."""
    provider = CountedProvider("local")
    monkeypatch.setitem(PROVIDERS, "local", lambda _settings: provider)
    return provider


@pytest.fixture
def no_local(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_settings: EmbeddingSettings) -> EmbeddingProvider:
        raise InvalidInput("Install the extra.")

    monkeypatch.setitem(PROVIDERS, "local", missing)


async def test_an_extra_that_is_installed_is_the_better_offline_provider(local: CountedProvider) -> None:
    choice = await choose(SETTINGS, [], "away")
    assert choice.provider == "local"
    assert "embedded offline (local), with a small model" in choice.remark
    assert local.closed
    stored_by_words = [Stored(text, [-component for component in components]) for text, components in OFFLINE]
    assert (await choose(SETTINGS, stored_by_words, "away")).provider == "ollama"
    assert (await choose(SETTINGS, OFFLINE, "ready")).provider == "local"


@pytest.mark.usefixtures("no_local")
@pytest.mark.parametrize(
    ("stored", "presence", "provider", "said"),
    [
        ([], "ready", "ollama", ""),
        ([], "away", "hashing", "no Ollama answers at http://127.0.0.1:11434: texts are embedded offline (hashing)"),
        ([], "without_model", "hashing", "the Ollama has no model nomic-embed-text"),
        (OFFLINE, "away", "hashing", "The stored memories were embedded offline"),
        (OFFLINE, "ready", "hashing", "start with an empty database and name it in ANIMA_EMBEDDING_PROVIDER"),
        (OF_A_MODEL, "ready", "ollama", ""),
        (OF_A_MODEL, "away", "ollama", "the stored memories were not embedded offline"),
        ([OFFLINE[0], OF_A_MODEL[1]], "away", "ollama", "the stored memories were not embedded offline"),
    ],
    ids=[
        *("bare, with Ollama", "bare", "Ollama without its model", "offline", "Ollama came later"),
        *("a model's", "a model's, which is away", "of both"),
    ],
)
async def test_whoever_embedded_what_is_stored_else_who_is_there(
    stored: list[Stored], presence: Presence, provider: str, said: str
) -> None:
    choice = await choose(SETTINGS, stored, presence)
    assert choice.provider == provider
    assert said in choice.remark
    assert bool(choice.remark) == bool(said)
    assert not choice.remark or "ANIMA_EMBEDDING_PROVIDER" in choice.remark
    assert isinstance(choice, Choice)


@pytest.mark.parametrize(
    ("environment", "is_named"),
    [
        ({}, False),
        ({"ANIMA_PORT": "0"}, False),
        ({"ANIMA_EMBEDDING_PROVIDER": "ollama"}, True),
        ({"ANIMA_OLLAMA_URL": "http://127.0.0.1:11434"}, True),
        ({"ANIMA_OPENAI_KEY": "key"}, True),
    ],
    ids=str,
)
def test_a_provider_is_named_by_its_name_or_by_where_it_is(environment: dict[str, str], is_named: bool) -> None:
    assert Settings.from_environment(environment).is_provider_named is is_named


async def test_whose_vectors_are_stored_is_found_out_by_asking_again() -> None:
    assert await is_maker(CountedProvider(), OFFLINE)
    assert not await is_maker(CountedProvider(), OF_A_MODEL)
    rounded = [Stored(text, [component + 1e-4 for component in components]) for text, components in OFFLINE]
    assert await is_maker(CountedProvider(), rounded)
    with pytest.raises(EmbeddingUnavailable):
        await is_maker(CountedProvider(failure=EmbeddingUnavailable("Down.")), OFFLINE)


def tags(*names: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: httpx.Response(200, json={"models": [{"name": name} for name in names]})


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    ("answer", "presence"),
    [
        (tags("llama3:8b", "nomic-embed-text:latest"), "ready"),
        (tags("nomic-embed-text-v2:latest"), "without_model"),
        (tags(), "without_model"),
        (refused, "away"),
        (lambda _request: httpx.Response(200, text="<html>"), "away"),
        (lambda _request: httpx.Response(404, json={"error": "not found"}), "away"),
        (lambda _request: httpx.Response(200, json=[]), "away"),
        (lambda _request: httpx.Response(200, json={"models": ["odd"]}), "without_model"),
    ],
    ids=["ready", "another version", "none", "refused", "a page", "not found", "an array", "odd"],
)
async def test_an_ollama_is_there_when_it_lists_its_models(
    answer: Callable[[httpx.Request], httpx.Response], presence: Presence
) -> None:
    urls: list[str] = []

    def noted(request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url))
        return answer(request)

    ollama = OllamaEmbeddings(SETTINGS, transport=httpx.MockTransport(noted))
    assert await ollama.presence() == presence
    assert urls == ["http://127.0.0.1:11434/api/tags"]


async def test_a_server_that_never_answers_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anima.embeddings.ollama.PRESENCE_TIMEOUT_S", 0.01)

    async def silence(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    ollama = OllamaEmbeddings(SETTINGS, transport=httpx.MockTransport(silence))
    assert await ollama.presence() == "away"
