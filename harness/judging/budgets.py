"""The language of budgets: what a run has to hold, one sentence of it per line.

    [variant ":"] subject ["{" label "=" value ["," ...] "}"] "." metric ("<=" | ">=") limit ["abort" ["after" time]]
    [variant ":"] statement ".plan uses" index

    query.p95 <= 300ms                          of the scenario's candidate
    add{text=known}.p95 <= 150ms                only requests whose text has been embedded before in this run
    mix{stage=2}.p95 <= 300ms                   of a phase, and only of its second stage
    query{window=10s}.p95 <= 1s                 each 10 seconds by themselves
    query{recall=95%}.p95 <= 20ms               of the first variant whose search finds as much
    newest{cache=cold}.p50 <= 50ms              only requests before which the database was made cold
    fix3: query.statements <= 6                 of another variant
    query.statements <= 2 + ceil(n / 500)       a law in the results of the request
    query.p99 <= 2s abort after 30s             ends the run as soon as it has failed
    query.capacity >= 200/s                     the rate at which all others hold; `harness capacity` finds it
    query.search.plan uses hnsw                 how a statement is executed: an index by name or kind
    cache.hit_rate >= 80%

The subject is an operation or a phase, or `cache`, `background` or `pool` for what belongs to the whole
variant. Each error points at the column and says what to write.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from harness.errors import UsageError, nearest
from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.protocol import BudgetMetric
from harness.judging.limits import Comparator, Limit, misread, read_limit, read_time
from harness.samples import COLD, Sample, Traits

CacheOrText = TypeVar("CacheOrText", bound=str)

TextSelector = Literal["known", "first"]
TEXTS: Final[tuple[TextSelector, ...]] = ("known", "first")
CacheSelector = Literal["cold", "warm"]
CACHES: Final[tuple[CacheSelector, ...]] = ("cold", "warm")
LABELS: Final = ("text", "stage", "window", "recall", "cache")
SUBJECTS: Final = frozenset({"cache", "background", "pool"})
"""Parts of a variant, which are neither operations nor phases."""

CAPACITY: Final = "capacity"
"""The metric that no run tells, but a search; it alone is limited from below."""

_COMPARATORS: Final[dict[str, Comparator]] = {"<=": "<=", "≤": "<=", ">=": ">=", "≥": ">="}
"""Each also as reports print it."""

# What to offer instead of families of metrics one by one.
_FAMILIES: Final = re.compile(r"p[\d.]+|within_\d+ms")
_METRICS: Final = [
    "p50 … p99.9",
    *(name for name in METRICS if not _FAMILIES.fullmatch(name)),
    "within_100ms … within_1000ms",
]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that a scenario gives meaning to; a budget that uses others is refused.

    `phases` says which operations each phase performs.
    """

    variants: Collection[str]
    operations: Collection[str]
    phases: Mapping[str, Collection[str]] = field(default_factory=lambda: MappingProxyType({}))

    def has_alone(self, subject: str) -> bool:
        """Says whether what is counted around a whole phase can be told of this phase or operation."""
        return subject in self.phases or any(list(operations) == [subject] for operations in self.phases.values())


@dataclass(frozen=True, slots=True)
class Selection:
    """Says which requests of the subject are meant: all, unless said otherwise.

    `stage` counts from 1. `window_s` does not leave any out: it has each stretch of that length judged by itself.
    `recall` has the first variant judged that finds as much. Of an operation by its name, cold requests are meant only
    where `cache` says so.
    """

    text: TextSelector | None = None
    stage: int | None = None
    window_s: float | None = None
    recall: float | None = None
    cache: CacheSelector | None = None

    def __str__(self) -> str:
        labels = {
            "text": self.text,
            "stage": self.stage,
            "window": self.window_s and f"{self.window_s:g}s",
            "recall": self.recall and f"{self.recall * 100:g}%",
            "cache": self.cache,
        }
        stated = [f"{label}={value}" for label, value in labels.items() if value is not None]
        return f"{{{', '.join(stated)}}}" if stated else ""


EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True)
class Budget:
    """`str()` is canonical and reads back as an equal budget. `variant` None is the scenario's candidate.

    `abort_after_s` is for how long a run may not be ended by it; None: it never is.
    """

    variant: str | None
    subject: str
    selection: Selection
    metric: str
    limit: Limit
    abort_after_s: float | None = None

    def __str__(self) -> str:
        variant = f"{self.variant}: " if self.variant else ""
        abort = "" if self.abort_after_s is None else " abort"
        grace = f" after {self.abort_after_s:g}s" if self.abort_after_s else ""
        return f"{variant}{self.name} {self.limit.comparator} {self.limit.text}{abort}{grace}"

    @property
    def name(self) -> str:
        """Says what is measured, without its limit: `add{text=known}.p95`."""
        return f"{self.subject}{self.selection}.{self.metric}"

    @property
    def aborts(self) -> bool:
        return self.abort_after_s is not None

    @property
    def text(self) -> TextSelector | None:
        return self.selection.text

    @property
    def operation(self) -> str:
        """Names the operation that the subject may be as a record does."""
        return f"{self.subject}{COLD}" if self.selection.cache == "cold" else self.subject

    def selects(self, sample: Sample | Traits) -> bool:
        return (
            (self.subject in SUBJECTS or sample.operation == self.operation or sample.phase == self.subject)
            and (self.selection.cache is None or sample.is_cold is (self.selection.cache == "cold"))
            and (self.text is None or sample.first_time_text is (self.text == "first"))
            and (self.selection.stage is None or sample.stage == self.selection.stage - 1)
        )


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    column: int


class _Scanner:
    """Reads a budget from left to right and knows the column for an error."""

    def __init__(self, text: str) -> None:
        self.text = re.sub(r"\s", " ", text)
        self.column = 0

    def take(self, pattern: str) -> _Word | None:
        """The first group of `pattern` if the text goes on with it, blanks before it aside."""
        found = re.compile(rf"\s*{pattern}").match(self.text, self.column)
        if found is None:
            return None
        self.column = found.end()
        return _Word(found[1], found.start(1))

    def expect(self, pattern: str, wanted: str) -> _Word:
        word = self.take(pattern)
        if word is None:
            rest = _Word(self.text[self.column :].lstrip(), len(self.text.rstrip()))
            column = len(self.text) - len(rest.text) if rest.text else rest.column
            raise misread(self.text, column, f"expected {wanted}.", len(rest.text.split(" ")[0]))
        return word

    def fault(self, word: _Word, message: str) -> UsageError:
        return misread(self.text, word.column, message, len(word.text))


def parse(text: str, vocabulary: Vocabulary | None = None) -> Budget:
    """Reads one budget. Raises `UsageError` that points at the column; without a vocabulary any name is taken."""
    scanner = _Scanner(text)
    variant = scanner.take(r"([\w.+-]+)\s*:")
    # The name of a statement has dots of its own.
    subject = scanner.take(r"(\w+(?:\.\w+)*)(?=\s*\.\s*plan\b)")
    subject = subject or scanner.expect(r"(\w+)", "an operation such as query, or cache")
    brace = scanner.column
    selection = _selection(scanner)
    if selection.recall is not None and variant:
        raise scanner.fault(variant, "the recall chooses the variant: leave its name out.")
    scanner.expect(r"(\.)", "a dot and a metric, such as .p95")
    metric = _metric(scanner, subject)
    if selection != EVERYTHING and METRICS[metric].scope != "requests":
        raise misread(scanner.text, brace, f"{metric} is not counted per request, so no label selects: leave it out.")
    if vocabulary:
        _check_names(scanner, variant, subject, METRICS[metric], vocabulary)
        if selection.cache is not None:
            _check_cache(scanner, brace, subject.text, selection.cache, vocabulary)
    if selection.cache == "cold" and METRICS[metric].unit == "rate":
        raise misread(scanner.text, brace, f"{metric} says nothing of requests that wait for a cold cache.")
    comparator = _comparator(scanner, metric)
    end, abort_after_s = _aborting(scanner, metric)
    if abort_after_s is not None and selection.recall is not None:
        raise misread(scanner.text, end, "a recall is known when the run is over: leave out what follows the limit.")
    limit = read_limit(scanner.text, slice(scanner.column, end), comparator, metric, METRICS[metric].unit)
    return Budget(variant.text if variant else None, subject.text, selection, metric, limit, abort_after_s)


def _selection(scanner: _Scanner) -> Selection:
    if not scanner.take(r"(\{)"):
        return EVERYTHING
    labels: dict[str, _Word] = {}
    while True:
        label = scanner.expect(r"(\w+)", "a label, as in {text=known}")
        if label.text not in LABELS:
            raise scanner.fault(label, f"unknown label {label.text!r}. {nearest(label.text, LABELS)}")
        if label.text in labels:
            raise scanner.fault(label, f"{label.text} is stated twice: leave one out.")
        scanner.expect("(=)", f"= and a value, as in {{{_EXAMPLES[label.text]}}}")
        labels[label.text] = scanner.expect(r"((?:\d+\.\d+\w*|\w+)%?)", f"a value, as in {{{_EXAMPLES[label.text]}}}")
        if not scanner.take("(,)"):
            break
    scanner.expect(r"(\})", "} after the label")
    return Selection(
        _one_of(scanner, labels, "text", TEXTS),
        _stage(scanner, labels),
        _window_s(scanner, labels),
        _recall(scanner, labels),
        _one_of(scanner, labels, "cache", CACHES),
    )


_EXAMPLES: Final = {
    "text": "text=known",
    "stage": "stage=2",
    "window": "window=10s",
    "recall": "recall=95%",
    "cache": "cache=cold",
}


def _one_of(
    scanner: _Scanner, labels: Mapping[str, _Word], label: str, values: Sequence[CacheOrText]
) -> CacheOrText | None:
    stated = labels.get(label)
    if stated is None:
        return None
    for value in values:
        if value == stated.text:
            return value
    raise scanner.fault(stated, f"unknown {label} {stated.text!r}. {nearest(stated.text, values)}")


def _stage(scanner: _Scanner, labels: Mapping[str, _Word]) -> int | None:
    value = labels.get("stage")
    if value is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value.text):
        raise scanner.fault(value, "a stage is its number in the scenario's order, from 1: write {stage=1}.")
    return int(value.text)


def _recall(scanner: _Scanner, labels: Mapping[str, _Word]) -> float | None:
    value = labels.get("recall")
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,4})?)%", value.text)
    if found is None or not 0 < float(found[1]) <= 100:  # noqa: PLR2004 -- percent
        raise scanner.fault(value, "a recall is a share over 0%: write {recall=95%}.")
    return float(Fraction(found[1]) / 100)


def _window_s(scanner: _Scanner, labels: Mapping[str, _Word]) -> float | None:
    value = labels.get("window")
    if value is None:
        return None
    return read_time(scanner.text, slice(value.column, value.column + len(value.text)))


def _metric(scanner: _Scanner, subject: _Word) -> str:
    word = scanner.expect(r"([a-zA-Z_]+(?:\d+(?:\.\d+)?)?(?:ms)?)", "a metric, such as p95")
    if word.text not in METRICS:
        raise scanner.fault(word, f"unknown metric {word.text!r}. {nearest(word.text, METRICS, _METRICS)}")
    home = METRICS[word.text].subject
    if home is not None and subject.text != home:
        raise scanner.fault(subject, f"{word.text} belongs to {home}: write {home}.{word.text}.")
    if home is None and subject.text in SUBJECTS:
        own = [name for name, metric in METRICS.items() if metric.subject == subject.text]
        raise scanner.fault(word, f"{subject.text} has no {word.text}. {nearest(word.text, own)}")
    return word.text


def _comparator(scanner: _Scanner, metric: str) -> Comparator:
    if METRICS[metric].unit == "index":
        scanner.expect(r"(uses)\b", "uses and the name of an index")
        return "uses"
    sign = scanner.expect(r"([<>=!≤≥]+)", "<= or >= and a limit")
    comparator = _COMPARATORS.get(sign.text)
    if comparator is None:
        raise scanner.fault(sign, f"{sign.text!r} is not known: write <= for at most, or >= for at least.")
    wanted, side = (">=", "below") if metric == CAPACITY else ("<=", "above")
    if METRICS[metric].kind == "sampled" and comparator != wanted:
        raise scanner.fault(sign, f"{metric} is limited from {side}: write {wanted}.")
    return comparator


def _aborting(scanner: _Scanner, metric: str) -> tuple[int, float | None]:
    """Where the limit ends, and after what time the budget may end the run, if it may."""
    found = re.compile(r"\s(abort)\b(?:\s+(\w+))?").search(scanner.text, scanner.column)
    if found is None:
        return len(scanner.text), None
    if not METRICS[metric].ends_a_run:
        message = f"{metric} is known only when the run is over: leave out what follows the limit."
        raise misread(scanner.text, found.start(1), message, len("abort"))
    if found[2] is None:
        return found.start(), 0.0
    if found[2] != "after":
        raise misread(scanner.text, found.start(2), "expected after and a time, as in abort after 30s.", len(found[2]))
    return found.start(), read_time(scanner.text, slice(found.end(), len(scanner.text)))


def _check_names(
    scanner: _Scanner, variant: _Word | None, subject: _Word, metric: BudgetMetric, vocabulary: Vocabulary
) -> None:
    if variant and variant.text not in vocabulary.variants:
        known = nearest(variant.text, vocabulary.variants)
        raise scanner.fault(variant, f"the scenario runs no variant {variant.text!r}. {known}")
    if metric.scope == "statement" or subject.text in SUBJECTS:
        return
    if subject.text not in (*vocabulary.operations, *vocabulary.phases):
        known = nearest(subject.text, dict.fromkeys((*vocabulary.operations, *vocabulary.phases)))
        raise scanner.fault(subject, f"the scenario runs no operation {subject.text!r}. {known}")
    if metric.scope == "phase" and not vocabulary.has_alone(subject.text):
        among = nearest("", [name for name, operations in vocabulary.phases.items() if subject.text in operations])
        message = f"this is counted around a whole phase, and {subject.text} shares each of its phases with others. "
        raise scanner.fault(subject, f"{message}Name a phase instead, or give {subject.text} one of its own. {among}")


def _check_cache(scanner: _Scanner, brace: int, subject: str, cache: CacheSelector, vocabulary: Vocabulary) -> None:
    """Refuses what no phase asks so: cold requests are those of phases that say it."""
    asked = [name for name, operations in vocabulary.phases.items() if subject in (name, *map(_as_warm, operations))]
    if not any(any(each.endswith(COLD) is (cache == "cold") for each in vocabulary.phases[name]) for name in asked):
        raise misread(
            scanner.text,
            brace,
            f"no phase asks {subject} with a {cache} cache. Add one "
            f'{"that states" if cache == "cold" else "without"} `cache = "cold"`.',
        )


def _as_warm(operation: str) -> str:
    return operation.removesuffix(COLD)
