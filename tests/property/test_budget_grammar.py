"""Every budget that can be written reads back as itself; any other text is refused, and never fails otherwise."""

from string import printable

from hypothesis import assume, example, given
from hypothesis import strategies as st

from harness.budget_metrics import METRICS
from harness.budgets import TEXTS, Vocabulary, parse
from harness.errors import UsageError

VOCABULARY = Vocabulary(variants=["naive", "fix1", "batched"], operations=["add", "query", "bootstrap"])

blanks = st.text(" \t", max_size=2)
numbers = st.one_of(st.integers(0, 10**6).map(str), st.decimals(0, 9999, places=2).map(str))
quantities = {"time": st.sampled_from(["ms", "s"]), "share": st.just("%")}
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


@st.composite
def budget_texts(draw: st.DrawFn) -> str:
    """Any budget of the grammar, with blanks anywhere that they may be."""
    word = draw(st.sampled_from(sorted(METRICS)))
    metric = METRICS[word]
    variant = draw(st.sampled_from(["", "naive:", "fix1 :"]))
    subject = metric.subject or draw(st.sampled_from(sorted(VOCABULARY.operations)))
    text = draw(st.sampled_from(["", *(f"{{ text = {name} }}" for name in TEXTS)]))
    comparator = "<=" if metric.kind == "sampled" else draw(st.sampled_from(["<=", ">="]))
    limit = draw(laws if metric.unit == "count" else st.tuples(numbers, blanks, quantities[metric.unit]).map("".join))
    parts = [variant, subject, text, ".", word, comparator, limit]
    return "".join(part + draw(blanks) for part in parts if part)


@given(budget_texts())
def test_a_printed_budget_reads_back_as_itself(text: str) -> None:
    budget = parse(text, VOCABULARY)
    assert parse(str(budget), VOCABULARY) == budget
    assert str(parse(str(budget), VOCABULARY)) == str(budget)


@given(budget_texts(), st.integers(0, 1000), st.integers(0, 20))
def test_a_limit_has_a_value_for_every_request(text: str, n: int, promotions: int) -> None:
    budget = parse(text, VOCABULARY)
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
