"""All peers as the variants of one target, so that they take turns in one run: `peers.target:Peers`."""

from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar, Final

from harness.errors import UsageError
from peers.common import EF_SEARCH_OF_100000, EXTRA, Peer, PeerTarget

MODULES: Final[Mapping[str, str]] = {
    "frontier": "anima_memory:Frontier",
    "batched": "anima_memory:Batched",
    "naive": "anima_memory:Naive",
    "asyncpg": "bare_asyncpg:BareAsyncpg",
    "psycopg": "bare_psycopg:BarePsycopg",
    "mem0": "mem0_pgvector:Mem0",
    "langgraph": "langgraph_store:LangGraph",
    "llama_index": "llama_index_store:LlamaIndex",
    "agno": "agno_pgvector:Agno",
    "haystack": "haystack_pgvector:Haystack",
}
"""Where each is, by its name; none is imported before it is asked for."""

OURS: Final = ("frontier", "batched", "naive")
TUNED: Final = "-tuned"


def peer_named(name: str) -> type[Peer]:
    """Raises `UsageError` where what it needs is not installed."""
    module, _, kind = MODULES[name].partition(":")
    try:
        found: type[Peer] = getattr(import_module(f"peers.{module}"), kind)
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} needs {error.name}, of the extra `peers`, which is not installed: {EXTRA}.") from None
    return found


class Peers(PeerTarget):
    """Ten thousand memories, and embeddings that are there at once."""

    variants: ClassVar = tuple(
        variant for name in MODULES for variant in ((name,) if name in OURS else (name, name + TUNED))
    )

    def peer_of(self, variant: str) -> tuple[type[Peer], bool]:
        return peer_named(variant.removesuffix(TUNED)), variant.endswith(TUNED)


class Filtered(Peers):
    """Those that have a filter, which ours have not."""

    variants: ClassVar = tuple(variant for variant in Peers.variants if variant not in OURS)


class Of100000(Peers):
    """A hundred thousand memories."""

    size: ClassVar = 100_000
    ef_search: ClassVar = EF_SEARCH_OF_100000


class Filtered100000(Filtered):
    """A hundred thousand memories, of those that have a filter."""

    size: ClassVar = 100_000
    ef_search: ClassVar = EF_SEARCH_OF_100000


class At50Ms(Peers):
    """Ten thousand, with embeddings that take 50 ms."""

    embedding_s: ClassVar = 0.05


class Few(Peers):
    """As few as show that everything works."""

    size: ClassVar = 500


class FewFiltered(Filtered):
    """As few, of those that have a filter."""

    size: ClassVar = 500
