"""A life in notes: English memories of a person's work, family, travels and tastes, drawn from a grammar by a seed.

No text is taken from a person, and none is stored: the same settings give the same texts on every machine.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal, TypeVar

from pydantic import Field

from harness.errors import UsageError
from harness.measuring.draws import Draws
from harness.measuring.targets.anima.corpora._shared.grammar import Scene, Topic, cast, life
from harness.measuring.targets.anima.corpora.protocol import Corpus, CorpusMemory, CorpusQuery, CorpusSettings

FOLLOWUP_SHARE: Final = 0.65
CLOSER_SHARE: Final = 0.12
LEADING_TIME_SHARE: Final = 0.5
DECLARED_CATALYST_SHARE: Final = 0.5

TAGGED_SLOTS: Final = ("{person}", "{city}", "{project}", "{hobby}", "{book}")
TIME_SLOT: Final = re.compile(r"\{(?:date|day|weekday|month|season|year)\d?\}")

WORDS_MIN: Final = 8
WORDS_MAX: Final = 45

# A changed word or two leave a text of this length above the similarity at which memories are merged.
COPIED_WORDS_MIN: Final = 20
COPIES_TRIED: Final = 50

# A grammar that gives nothing new this often in a row has no more to give.
ATTEMPTS_MAX: Final = 5_000

# The texts whose hash is part of the fingerprint: a change of the grammar shows in them without a version to remember.
FINGERPRINTED_TEXTS: Final = 1_000

T = TypeVar("T")


class GeneratedSettings(CorpusSettings, frozen=True):
    """`[corpus]` with `kind = "generated"`."""

    kind: Literal["generated"] = "generated"
    """The name of the corpus: texts that are made up."""
    seed: int = 1
    """The seed of the texts: with the same one, they are the same."""
    near_duplicate_rate: float = Field(default=0.02, ge=0, le=0.5)
    """The share of memories that repeat an earlier one with a small change of wording."""
    catalyst_rate: float = Field(default=0.01, ge=0, le=1)
    """The share of memories that hold a catalyst marker; half of them are declared catalysts too."""

    def open(self) -> Corpus:
        return GeneratedCorpus(self)


@dataclass(frozen=True)
class GeneratedCorpus:
    settings: GeneratedSettings

    @property
    def name(self) -> str:
        return f"generated, seed {self.settings.seed}"

    @property
    def fingerprint(self) -> str:
        texts = (self.memories, self.new_memories, self.queries)
        sample = [text for draw in texts for text in draw(FINGERPRINTED_TEXTS)]
        decisive = self.settings.model_dump_json(exclude={"tiers"})
        return hashlib.sha256(f"{decisive}\n{sample!r}".encode()).hexdigest()

    @property
    def size(self) -> int:
        return self.settings.size

    def memories(self, count: int) -> tuple[CorpusMemory, ...]:
        return tuple(islice(_Notes(self.settings, "memories").distinct(_is_loaded), count))

    def new_memories(self, count: int) -> tuple[CorpusMemory, ...]:
        return tuple(islice(_Notes(self.settings, "new memories").distinct(_is_new), count))

    def queries(self, count: int) -> tuple[CorpusQuery, ...]:
        return tuple(islice(_Notes(self.settings, "queries").questions(), count))


def _is_new(content: str) -> bool:
    """Splits all possible texts in two by their content alone, so that no new memory can be a loaded one."""
    return zlib.crc32(content.encode()) % 4 == 0


def _is_loaded(content: str) -> bool:
    return not _is_new(content)


class _Notes:
    """One endless stream of texts about the people of one life. All streams of a seed share these people."""

    def __init__(self, settings: GeneratedSettings, stream: str) -> None:
        self._settings = settings
        self._people = cast(Draws(settings.seed, "people"))
        self._draws = Draws(settings.seed, stream)

    def distinct(self, belongs: Callable[[str], bool]) -> Iterator[CorpusMemory]:
        """Memories whose content belongs, near copies of earlier ones among them."""
        seen: set[str] = set()
        originals: list[CorpusMemory] = []

        def fits(memory: CorpusMemory) -> bool:
            content = memory.content
            return content not in seen and WORDS_MIN <= _words(content) <= WORDS_MAX and belongs(content)

        while True:
            copy = next(filter(fits, self._near_copies(originals)), None)
            memory = copy or _first(fits, self._memory)
            if not copy and _words(memory.content) >= COPIED_WORDS_MIN:
                originals.append(memory)
            seen.add(memory.content)
            yield memory

    def questions(self) -> Iterator[CorpusQuery]:
        asked: set[str] = set()
        while True:
            question = _first(lambda text: text not in asked, self._question)
            asked.add(question)
            yield CorpusQuery(question)

    def _near_copies(self, originals: list[CorpusMemory]) -> Iterator[CorpusMemory]:
        """Some to choose from when the next memory is to be a near copy, else none."""
        if originals and self._draws.chance(self._settings.near_duplicate_rate):
            for _ in range(COPIES_TRIED):
                original = self._draws.pick(originals)
                yield replace(original, content=_reworded(original.content, self._draws))

    def _memory(self) -> CorpusMemory:
        topic = self._draws.pick(life().topics)
        scene = Scene(self._people, self._draws)
        marked = self._draws.chance(self._settings.catalyst_rate)
        sentences = [scene.sentence(template) for template in self._templates(topic, marked=marked)]
        named = (scene.bound[slot].lower() for slot in TAGGED_SLOTS if slot in scene.bound)
        return CorpusMemory(
            content=". ".join(sentences) + ".",
            category=topic.category,
            tags=tuple(dict.fromkeys([self._draws.pick(topic.tags), *named])),
            source=self._draws.pick(topic.sources),
            is_catalyst=marked and self._draws.chance(DECLARED_CATALYST_SHARE),
        )

    def _templates(self, topic: Topic, *, marked: bool) -> Iterator[str]:
        yield self._timed(self._draws.pick(topic.openers))
        if self._draws.chance(FOLLOWUP_SHARE):
            yield self._draws.pick(topic.followups)
        if marked:
            yield self._draws.pick(life().markers)
        if self._draws.chance(CLOSER_SHARE):
            yield self._draws.pick(life().closers)

    def _timed(self, opener: str) -> str:
        """The opener, at times with a time put first, where it says none itself."""
        is_timeless = opener.startswith("{who}") and not TIME_SLOT.search(opener)
        return f"{{when}} {opener}" if is_timeless and self._draws.chance(LEADING_TIME_SHARE) else opener

    def _question(self) -> str:
        scene = Scene(self._people, self._draws)
        return scene.sentence(self._draws.pick(self._draws.pick(life().topics).questions))


def _words(text: str) -> int:
    return len(text.split())


def _first(fits: Callable[[T], bool], draw: Callable[[], T]) -> T:
    for _ in range(ATTEMPTS_MAX):
        if fits(candidate := draw()):
            return candidate
    raise UsageError(
        "The generated corpus has no more distinct texts to give. "
        'Ask for fewer memories or questions, or bring your own with `corpus.kind = "file"`.'
    )


def _reworded(content: str, draws: Draws) -> str:
    """The same statement with one phrase put in other words, or announced as a repetition."""
    rewrites = life().near_copy_rewrites
    said = [phrase for phrase in rewrites if f" {phrase} " in content]
    if not said or draws.chance(0.5):
        return f"{draws.pick(life().near_copy_fillers)} {content}"
    phrase = draws.pick(said)
    return content.replace(f" {phrase} ", f" {rewrites[phrase]} ", 1)
