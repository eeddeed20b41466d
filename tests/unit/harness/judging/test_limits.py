"""The right-hand side of a budget: how it is read, what it comes to, and where it points when it cannot be read."""

import pytest

from harness.errors import UsageError
from harness.judging.limits import Comparator, Limit, read_limit, read_time
from harness.quantities import Unit


def limit(text: str, unit: Unit, comparator: Comparator = "<=", metric: str = "p95") -> Limit:
    return read_limit(text, slice(0, len(text)), comparator, metric, unit)


@pytest.mark.parametrize(
    ("text", "unit", "canonical", "value"),
    [
        ("300ms", "time", "300ms", 0.3),
        (" 1.5 s ", "time", "1.5s", 1.5),
        ("250us", "time", "250µs", 0.00025),
        ("80%", "share", "80%", 0.8),
        ("30/min", "rate", "30/min", 0.5),
        ("1,200", "count", "1200", 1200),
        ("1,200", "amount", "1200", 1200),
        ("2+ceil(n/500)", "count", "2 + ceil(n / 500)", 5),
    ],
)
def test_a_limit_is_kept_as_it_is_written_in_reports_and_comes_to_a_number(
    text: str, unit: Unit, canonical: str, value: float
) -> None:
    found = limit(text, unit)
    assert found.text == canonical
    assert found.value({"n": 1001}) == value
    assert limit(found.text, unit) == found


def test_bytes_may_have_a_unit() -> None:
    assert limit("50kB", "amount", metric="wal_bytes_per_op").value() == 50_000


def test_a_law_is_computed_without_rounding() -> None:
    thirds = limit("ceil(n / 3 * 3)", "count")
    assert [thirds.value({"n": number}) for number in range(1, 50)] == list(range(1, 50))


@pytest.mark.parametrize(
    ("text", "names"), [("3", set()), ("2 + n", {"n"}), ("ceil(n / 2) + 3 * promotions", {"n", "promotions"})]
)
def test_a_law_names_what_it_depends_on(text: str, names: set[str]) -> None:
    assert limit(text, "count").variables == names


@pytest.mark.parametrize(("comparator", "excess"), [("<=", 0.2), (">=", -0.2)])
def test_excess_is_on_the_wrong_side_of_the_limit(comparator: Comparator, excess: float) -> None:
    assert limit("300ms", "time", comparator).excess(0.5) == pytest.approx(excess)


def test_an_index_is_used_and_has_no_value() -> None:
    assert limit("memories_hnsw", "index", "uses") == Limit("uses", "memories_hnsw", "index")


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("", "time", "column 1: expected a limit, such as 300ms"),
        ("", "index", "column 1: expected the name of an index"),
        ("a b", "index", "column 1: expected the name of one index"),
        ("300", "time", "p95 is a time: write 300ms or 300s"),
        ("0.8", "share", "p95 is a share: write 80%"),
        ("80%", "rate", "p95 is a rate: write 80/s"),
        ("5ms", "count", "p95 is a count: write 5 without a unit"),
        ("5 apples", "time", "column 3: unknown unit 'apples'. Known: µs, ms, s"),
        ("300ms now", "time", "column 6: nothing may follow a limit with a unit"),
        ("n / 0", "count", "column 5: divide by a whole number other than 0"),
        ("n / n", "count", "column 5: divide by a whole number other than 0"),
        ("2 + m", "count", "column 5: unknown name 'm'. Known: n, promotions, ceil, floor."),
        ("2 + roof(n)", "count", "column 5: unknown function 'roof'. Known: ceil, floor."),
        ("2 + flor(n)", "count", "column 5: unknown function 'flor'. Did you mean 'floor'?"),
        ("n ** 2", "count", "column 1: not allowed in a limit"),
        ("2 + (n", "count", "not an arithmetic expression"),
        ("n; n", "count", "column 2: ';' has no place in a limit"),
        (f"n{' + n' * 100}", "count", "column 1: the limit is longer than 200 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(text: str, unit: Unit, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        limit(text, unit)
    assert message in str(refused.value)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), (" 500ms", 0.5), ("1,000 ms", 1)])
def test_a_time_within_a_budget_is_in_seconds(text: str, seconds: float) -> None:
    assert read_time(text, slice(0, len(text))) == seconds


@pytest.mark.parametrize("text", ["", "10", "0s", "10%", "-1s", "10s 5s"])
def test_what_is_no_time_over_0_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a time over 0"):
        read_time(text, slice(0, len(text)))
