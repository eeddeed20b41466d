"""Texts that a user brings: memories, and questions if there are any, else words that the memories are about."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from harness.errors import UsageError
from harness.measuring.targets.anima.corpora._shared.lines import LineFile
from harness.measuring.targets.anima.corpora.protocol import Corpus, CorpusMemory, CorpusQuery, CorpusSettings

WORD: Final = re.compile(r"[^\W\d_]{3,}")
DERIVED_WORDS_MAX: Final = 4

# Languages that are written without spaces have "words" of any length.
DERIVED_WORD_LENGTH_MAX: Final = 40
DERIVED_LENGTH_MAX: Final = 200


def _storable(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "it holds a NUL character, which PostgreSQL cannot store")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "it is blank")
    return text


STORABLE: Final = AfterValidator(_storable)
NOT_BLANK: Final = AfterValidator(_not_blank)

Name = Annotated[str, Field(max_length=100), STORABLE]
Tag = Annotated[str, Field(min_length=1, max_length=50), STORABLE]


class MemoryLine(BaseModel):
    """The fields and limits of the contract's add. Other fields are ignored, and null means absent."""

    model_config = ConfigDict(frozen=True, strict=True)

    content: Annotated[str, Field(max_length=50_000), STORABLE, NOT_BLANK]
    category: Name | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=20)] | None = None
    source: Name | None = None
    is_catalyst: bool | None = None

    def memory(self) -> CorpusMemory:
        return CorpusMemory(self.content, self.category, self.tags or (), self.source, bool(self.is_catalyst))


class QueryLine(BaseModel):
    """The fields and limits of the contract's query that a question can bring along."""

    model_config = ConfigDict(frozen=True, strict=True)

    query: Annotated[str, Field(max_length=5_000), STORABLE, NOT_BLANK]
    conversation_id: Annotated[str, Field(min_length=1, max_length=200), STORABLE] | None = None


class FileSettings(CorpusSettings, frozen=True):
    """`[corpus]` with `kind = "file"`. Paths are relative to the working directory."""

    kind: Literal["file"] = "file"
    """The name of the corpus: texts of your own."""
    memories_path: Path
    """JSON Lines with `content` and optionally category, tags, source and is_catalyst; or plain text."""
    queries_path: Path | None = None
    """JSON Lines with `query` and optionally conversation_id; or plain text. Absent: derived."""

    def open(self) -> Corpus:
        corpus = FileCorpus(self)
        corpus.memories(self.size)
        corpus.queries(1)
        return corpus


class FileCorpus:
    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._memories = LineFile(settings.memories_path, MemoryLine, "content")
        self._queries = settings.queries_path and LineFile(settings.queries_path, QueryLine, "query")

    @property
    def name(self) -> str:
        return f"file {self._settings.memories_path.name}"

    @property
    def repeats(self) -> int:
        """Memories dropped because an earlier line has the same content, as far as the file has been read."""
        return self._memories.repeats

    @property
    def fingerprint(self) -> str:
        decisive = [self._memories.digest(), self._queries and self._queries.digest(), self._settings.size]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()

    @property
    def size(self) -> int:
        return self._settings.size

    def memories(self, count: int) -> tuple[CorpusMemory, ...]:
        lines = self._memories.first(count)
        if len(lines) < count:
            raise UsageError(
                f"{self._all(lines)} of the {count:,} to load. "
                "Lower `corpus.size` to what it holds, or bring a longer file."
            )
        return tuple(line.memory() for line in lines)

    def new_memories(self, count: int) -> tuple[CorpusMemory, ...]:
        lines = self._memories.first(self.size + count)
        if len(lines) < self.size + count:
            raise UsageError(
                f"{self._all(lines)}: {self.size:,} are loaded before the run (`corpus.size`), and {count:,} others "
                "are needed to add during it. Lower `corpus.size` or the number of adds, or bring a longer file."
            )
        return tuple(line.memory() for line in lines[self.size :])

    def queries(self, count: int) -> tuple[CorpusQuery, ...]:
        asked = tuple(islice(self._questions(count), count))
        if len(asked) < count:
            derived = f"{self._settings.memories_path}, without `corpus.queries_path`,"
            raise UsageError(
                f"{self._settings.queries_path or derived} gives {len(asked):,} distinct questions of the {count:,} "
                "needed. Ask fewer distinct questions in the workload, or bring more in `corpus.queries_path`."
            )
        return asked

    def _all(self, lines: tuple[MemoryLine, ...]) -> str:
        dropped = f" ({self.repeats:,} repeats dropped)" if self.repeats else ""
        return f"{self._settings.memories_path} holds {len(lines):,} distinct memories{dropped}"

    def _questions(self, count: int) -> Iterator[CorpusQuery]:
        if self._queries:
            return (CorpusQuery(line.query, line.conversation_id) for line in self._queries.first(count))
        return _derived_questions([memory.content for memory in self.memories(self.size)])


def _derived_questions(contents: list[str]) -> Iterator[CorpusQuery]:
    """For each content, in an order of its own, the few words that single it out."""
    frequency = Counter(word for content in contents for word in set(_words(content)))

    def rarity(word: str) -> tuple[int, int]:
        return frequency[word], -len(word)

    questions: set[str] = set()
    for content in sorted(contents, key=lambda text: hashlib.sha256(text.encode()).digest()):
        words = _words(content)
        rarest = sorted(dict.fromkeys(words), key=rarity)[:DERIVED_WORDS_MAX]
        question = " ".join(sorted(rarest, key=words.index)) or content[:DERIVED_LENGTH_MAX]
        if question not in questions:
            questions.add(question)
            yield CorpusQuery(question)


def _words(content: str) -> list[str]:
    return [word[:DERIVED_WORD_LENGTH_MAX].casefold() for word in WORD.findall(content)]
