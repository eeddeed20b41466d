"""The seam between a scenario and the texts it works on."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CorpusMemory:
    """One memory to load before the run, or to add during it."""

    content: str
    category: str | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None
    is_catalyst: bool = False


@dataclass(frozen=True, slots=True)
class CorpusQuery:
    """One question to ask; `conversation_id` None lets the workload choose."""

    query: str
    conversation_id: str | None = None


class Corpus(Protocol):
    """A deterministic source of texts: the same corpus with the same seed gives the same texts in the same order."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex over everything that decides the texts."""
        ...

    def memories(self, count: int) -> tuple[CorpusMemory, ...]:
        """The first `count` memories, contents distinct. Raises `UsageError` when there are fewer."""
        ...

    def new_memories(self, count: int) -> tuple[CorpusMemory, ...]:
        """`count` memories to add during a run: none of their contents is among `memories`."""
        ...

    def queries(self, count: int) -> tuple[CorpusQuery, ...]:
        """`count` distinct questions. The workload repeats them; the corpus does not."""
        ...
