"""The language of budgets: what a run has to hold, one sentence of it per line.

    [variant ":"] subject ["{" "text" "=" ("known" | "first") "}"] "." metric ("<=" | ">=") limit

    query.p95 <= 300ms                          of the scenario's candidate
    add{text=known}.p95 <= 150ms                only requests whose text has been embedded before in this run
    fix3: query.statements <= 6                 of another variant
    query.statements <= 2 + ceil(n / 500)       a law in the results of the request
    cache.hit_rate >= 80%

The subject is an operation, or `cache` or `background` for what belongs to the whole variant. Each error points at the
column and says what to write.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from harness.budget_metrics import METRICS
from harness.budget_metrics.protocol import BudgetMetric
from harness.errors import UsageError
from harness.limits import Comparator, Limit, misread, nearest, read_limit
from harness.record import Sample

TextSelector = Literal["known", "first"]
TEXTS: Final[tuple[TextSelector, ...]] = ("known", "first")
SUBJECTS: Final = frozenset(metric.subject for metric in METRICS.values() if metric.subject)
_COMPARATORS: Final[dict[str, Comparator]] = {"<=": "<=", ">=": ">="}

# What to offer instead of the fifty quantiles one by one.
_METRICS: Final = ["p50 … p99.9", *(name for name in METRICS if not name.startswith("p"))]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that a scenario gives meaning to; a budget that uses others is refused."""

    variants: Collection[str]
    operations: Collection[str]


@dataclass(frozen=True, slots=True)
class Budget:
    """`str()` is canonical and reads back as an equal budget. `variant` None is the scenario's candidate."""

    variant: str | None
    subject: str
    text: TextSelector | None
    metric: str
    limit: Limit

    def __str__(self) -> str:
        return f"{f'{self.variant}: ' if self.variant else ''}{self.name} {self.limit.comparator} {self.limit.text}"

    @property
    def name(self) -> str:
        """What is measured, without its limit: `add{text=known}.p95`."""
        return f"{self.subject}{f'{{text={self.text}}}' if self.text else ''}.{self.metric}"

    def selects(self, sample: Sample) -> bool:
        return (METRICS[self.metric].subject is not None or sample.operation == self.subject) and (
            self.text is None or sample.first_time_text is (self.text == "first")
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
    subject = scanner.expect(r"(\w+)", "an operation such as query, or cache")
    selector = _text_selector(scanner)
    scanner.expect(r"(\.)", "a dot and a metric, such as .p95")
    metric = _metric(scanner, subject)
    if vocabulary:
        _check_names(scanner, variant, subject, METRICS[metric], vocabulary)
    comparator = _comparator(scanner, metric)
    limit = read_limit(scanner.text, scanner.column, comparator, metric, METRICS[metric].unit)
    return Budget(variant.text if variant else None, subject.text, selector, metric, limit)


def _text_selector(scanner: _Scanner) -> TextSelector | None:
    if not scanner.take(r"(\{)"):
        return None
    label = scanner.expect(r"(\w+)", "the label text, as in {text=known}")
    if label.text != "text":
        raise scanner.fault(label, f"unknown label {label.text!r}. {nearest(label.text, ['text'])}")
    scanner.expect("(=)", "= and known or first, as in {text=known}")
    value = scanner.expect(r"(\w+)", "known or first")
    if value.text not in TEXTS:
        raise scanner.fault(value, f"unknown text {value.text!r}. {nearest(value.text, list(TEXTS))}")
    scanner.expect(r"(\})", "} after the label")
    return value.text


def _metric(scanner: _Scanner, subject: _Word) -> str:
    word = scanner.expect(r"([a-zA-Z_]+(?:\d+(?:\.\d+)?)?)", "a metric, such as p95")
    if word.text not in METRICS:
        raise scanner.fault(word, f"unknown metric {word.text!r}. {nearest(word.text, list(METRICS), _METRICS)}")
    home = METRICS[word.text].subject
    if home is not None and subject.text != home:
        raise scanner.fault(subject, f"{word.text} belongs to {home}: write {home}.{word.text}.")
    if home is None and subject.text in SUBJECTS:
        own = [name for name, metric in METRICS.items() if metric.subject == subject.text]
        raise scanner.fault(word, f"{subject.text} has no {word.text}. {nearest(word.text, own)}")
    return word.text


def _comparator(scanner: _Scanner, metric: str) -> Comparator:
    sign = scanner.expect(r"([<>=!]+)", "<= or >= and a limit")
    comparator = _COMPARATORS.get(sign.text)
    if comparator is None:
        raise scanner.fault(sign, f"{sign.text!r} is not known: write <= for at most, or >= for at least.")
    if METRICS[metric].kind == "sampled" and comparator == ">=":
        raise scanner.fault(sign, f"{metric} is limited from above: write <=.")
    return comparator


def _check_names(
    scanner: _Scanner, variant: _Word | None, subject: _Word, metric: BudgetMetric, vocabulary: Vocabulary
) -> None:
    if variant and variant.text not in vocabulary.variants:
        known = nearest(variant.text, list(vocabulary.variants))
        raise scanner.fault(variant, f"the scenario runs no variant {variant.text!r}. {known}")
    if metric.subject is None and subject.text not in vocabulary.operations:
        known = nearest(subject.text, list(vocabulary.operations))
        raise scanner.fault(subject, f"the scenario runs no operation {subject.text!r}. {known}")
