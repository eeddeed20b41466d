"""Every budget that can be written reads back as itself; any other text is refused, and never fails otherwise."""

from string import printable

from hypothesis import assume, example, given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.judging.budget_metrics import METRICS
from harness.judging.budgets import TEXTS, Vocabulary, parse

OPERATIONS = ["add", "query", "bootstrap"]
VOCABULARY = Vocabulary(
    variants=["naive", "fix1", "batched"], operations=OPERATIONS, phases={name: [name] for name in OPERATIONS}
)

blanks = st.text(" \t", max_size=2)
numbers = st.one_of(st.integers(0, 10**6).map(str), st.decimals(0, 9999, places=2).map(str))
units = {"time": st.sampled_from(["ms", "s"]), "share": st.just("%"), "rate": st.sampled_from(["/s", "/min"])}
quantities = {unit: st.tuples(numbers, blanks, written).map("".join) for unit, written in units.items()}
labels = {
    "text": st.sampled_from(TEXTS),
    "stage": st.integers(1, 20).map(str),
    "window": st.integers(1, 5000).map("{}ms".format),
}
laws = st.recursive(
    st.one_of(st.integers(0, 10**6).map(str), st.sampled_from(["n", "promotions"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        st.tuples(inner, st.integers(1, 1000)).map(lambda parts: f"({parts[0]} / {parts[1]})"),
        st.tuples(st.sampled_from(["ceil", "floor"]), inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
    ),
    max_leaves=6,
)


def refused(text: str) -> str | None:
    """What the parser says against a text, if it does."""
    try:
        parse(text, VOCABULARY)
    except UsageError as error:
        return str(error)
    return None


limits = {**quantities, "count": laws, "amount": numbers, "index": st.just("idx_memories_tier")}
selections = st.lists(st.sampled_from(list(labels)), unique=True).flatmap(
    lambda names: st.tuples(*(labels[name].map(f"{name} = {{}}".format) for name in names)).map(
        lambda stated: f"{{ {', '.join(stated)} }}" if stated else ""
    )
)


@st.composite
def budget_texts(draw: st.DrawFn) -> str:
    """Any budget of the grammar, with blanks anywhere that they may be."""
    word = draw(st.sampled_from(sorted(METRICS)))
    metric = METRICS[word]
    variant = draw(st.sampled_from(["", "naive:", "fix1 :"]))
    subject = metric.subject or draw(st.sampled_from(sorted(VOCABULARY.operations)))
    if metric.scope == "statement":
        subject = draw(st.sampled_from(["query.search", "merge"]))
    selection = draw(selections) if metric.scope == "requests" else ""
    bound = {"capacity": ">="}.get(word, "<=")
    comparator = bound if metric.kind == "sampled" else draw(st.sampled_from(["<=", ">="]))
    if metric.unit == "index":
        comparator = " uses "
    limit = draw(limits[metric.unit])
    abort = draw(st.sampled_from(["", " abort", " abort after 30s"])) if metric.ends_a_run else ""
    parts = [variant, subject, selection, ".", word, comparator, limit, abort]
    return "".join(part + draw(blanks) for part in parts if part)


@given(budget_texts())
def test_a_printed_budget_reads_back_as_itself(text: str) -> None:
    budget = parse(text, VOCABULARY)
    assert parse(str(budget), VOCABULARY) == budget
    assert str(parse(str(budget), VOCABULARY)) == str(budget)


@given(budget_texts(), st.integers(0, 1000), st.integers(0, 20))
def test_a_limit_has_a_value_for_every_request(text: str, n: int, promotions: int) -> None:
    budget = parse(text, VOCABULARY)
    assume(budget.limit.comparator != "uses")
    assert isinstance(budget.limit.value({"n": n, "promotions": promotions}), float)


@given(st.one_of(st.text(printable, max_size=60), st.text(max_size=60)))
@example("query.statements <= " + "(" * 190)
@example("query.statements <= \0")
@example("query.statements <= 1if n else 2")
@example("query.p95 <= ³ms")
def test_any_other_text_is_refused_with_its_place(text: str) -> None:
    refusal = refused(text)
    assert refusal is None or refusal.startswith("budget, column ")


@given(budget_texts(), st.data())
def test_the_caret_lies_below_the_text(text: str, data: st.DataObject) -> None:
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    refusal = refused(cut)
    assume(refusal is not None)
    assert refusal is not None
    _, shown, carets = refusal.split("\n")
    assert 2 <= carets.index("^") <= len(shown)
