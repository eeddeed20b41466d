import pytest

from harness.errors import UsageError
from harness.judging.budgets import Vocabulary, parse
from harness.quantities import duration
from tests.records import sample

VOCABULARY = Vocabulary(
    variants=["naive", "batched"],
    operations=["add", "query"],
    phases={"query": ["query"], "mix": ["add", "query"]},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("query.p95 <= 300ms", 0.3),
        ("query.p99.9<=1.5 s", 1.5),
        ("query.mean <= 0.25s", 0.25),
        ("query.mean <= 412 \N{MICRO SIGN}s", 0.000412),
        ("query.mean <= 412\N{GREEK SMALL LETTER MU}s", 0.000412),
        ("query.mean <= 412us", 0.000412),
        ("query{window=1000us}.mean <= 1,412 ms abort after 500us", 1.412),
        ("add{text=known}.max <= 150ms", 0.15),
        ("query.errors <= 1%", 0.01),
        ("cache.hit_rate >= 80%", 0.8),
        ("query.statements <= 4", 4),
        ("background.failures <= 0", 0),
        ("query.throughput >= 20/s", 20),
        ("query.wal_bytes_per_op <= 4000", 4000),
        ("query.wal_bytes_per_op <= 130,598", 130_598),
        ("query.wal_bytes_per_op <= 8kB", 8_000),
        ("query.wal_bytes_per_op <= 1.5 MB", 1_500_000),
        ("query.wal_bytes_per_op <= 512 B", 512),
        ("query.statements <= 1,000", 1_000),
        ("mix.client_cpu_ms_per_op <= 0.75", 0.75),
        ("mix.throughput >= 30 /min", 0.5),
        ("query{text=known, stage=2, window=500ms}.p95 <= 1s abort after 30s", 1),
    ],
)
def test_limits_are_in_base_units(text: str, value: float) -> None:
    assert parse(text, VOCABULARY).limit.value() == value


def test_every_spelling_of_a_microsecond_is_one_budget() -> None:
    spellings = ("\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s", "us")
    assert {str(parse(f"query.p95 <= 400{each}")) for each in spellings} == {"query.p95 <= 400\N{MICRO SIGN}s"}


@pytest.mark.parametrize("seconds", [0, 0.0000004, 0.000412, 0.0412, 0.15, 3.0, 152])
def test_a_time_is_read_as_it_is_printed(seconds: float) -> None:
    assert parse(f"query.p95 <= {duration(seconds)}").limit.value() == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("law", "n", "promotions", "value"),
    [
        ("2 + ceil(n / 500)", 500, 0, 3),
        ("2 + ceil(n / 500)", 501, 0, 4),
        ("floor(n / 3)", 20, 0, 6),
        ("2 + 2 * n + n * (n - 1) / 2 + 3 * promotions", 20, 2, 238),
        ("ceil(n / 3 * 3)", 7, 0, 7),
    ],
)
def test_a_law_is_computed_in_fractions(law: str, n: int, promotions: int, value: float) -> None:
    limit = parse(f"query.statements <= {law}").limit
    assert limit.value({"n": n, "promotions": promotions}) == value


def test_a_budget_prints_in_its_canonical_form() -> None:
    assert str(parse(" naive :query{ text = known } .p95<= 300 ms ")) == "naive: query{text=known}.p95 <= 300ms"
    written = "mix{ window=500ms,stage=2 }.p99 <= 2s   abort  after  1500ms"
    assert str(parse(written)) == "mix{stage=2, window=0.5s}.p99 <= 2s abort after 1.5s"
    assert str(parse("query.p95 ≤ 300ms")) == "query.p95 <= 300ms"
    assert str(parse("cache.hit_rate≥80%")) == "cache.hit_rate >= 80%"
    assert str(parse("query.errors <= 1% abort")) == "query.errors <= 1% abort"
    assert str(parse("fix6 : query.search .plan  uses idx_a")) == "fix6: query.search.plan uses idx_a"


# The text, the column at which the error points (counted from 1), and what it has to say there.
REFUSALS = [
    ("", 1, "an operation"),
    ("query", 6, "a dot and a metric"),
    ("query.", 7, "a metric, such as p95"),
    ("query.p59x <= 3ms", 10, "<= or >="),
    ("query.p5 <= 3ms", 7, "Did you mean 'p95'?"),
    ("query.latency <= 3ms", 7, "p50 … p99.9, mean, max, errors"),
    ("quer.p95 <= 3ms", 1, "no operation 'quer'. Did you mean 'query'?"),
    ("bootstrap.p95 <= 3ms", 1, "no operation 'bootstrap'. Known: add, query, mix."),
    ("bached: query.p95 <= 3ms", 1, "no variant 'bached'. Did you mean 'batched'?"),
    ("query.p95 < 3ms", 11, "write <= for at most"),
    ("query.p95 == 3ms", 11, "write <= for at most"),
    ("query.p95 >= 3ms", 11, "limited from above"),
    ("query.p95 <=", 13, "expected a limit"),
    ("query.p95 <= 300", 14, "write 300ms or 300s"),
    ("query.p95 <= 300sec", 17, "unknown unit 'sec'"),
    ("query.p95 <= 300Ms", 17, "Did you mean 'ms'?"),
    ("query.p95 <= 30%", 14, "write 30ms or 30s"),
    ("query.p95 <= n", 14, "write 300ms or 300s"),
    ("query.p95 <= 300ms twice", 19, "nothing may follow"),
    ("query.errors <= 0.01", 17, "write 1%"),
    ("query.statements <= 4ms", 21, "write 4 without a unit"),
    ("query.statements <= 4.5", 21, "whole numbers"),
    ("query.statements <= -4", 21, "whole numbers"),
    ("query.statements <= m + 2", 21, "unknown name 'm'"),
    ("query.statements <= 2 + ciel(n / 500)", 25, "Did you mean 'ceil'?"),
    ("query.statements <= 2 ** 3", 21, "not allowed"),
    ("query.statements <= ceil(n, 2)", 27, "',' has no place"),
    ("query.statements <= ceil(n", 25, "not an arithmetic expression"),
    ("query.statements <= 2 +", 24, "not an arithmetic expression"),
    ("query.statements <= n / 0", 25, "other than 0"),
    ("query.statements <= 4 / n", 25, "other than 0"),
    (f"query.statements <= {'1 + ' * 60}1", 21, "longer than 200"),
    ("query.statements <= n.real", 21, "not allowed"),
    ("query.statements <= open('x')", 26, "has no place"),
    ("query{txt=known}.p95 <= 1s", 7, "Did you mean 'text'?"),
    ("query{text=knwon}.p95 <= 1s", 12, "Did you mean 'known'?"),
    ("query{text=known.p95 <= 1s", 17, "expected }"),
    ("query{text=known,}.p95 <= 1s", 18, "a label, as in"),
    ("query{text=known, text=first}.p95 <= 1s", 19, "stated twice"),
    ("query{stage=0}.p95 <= 1s", 13, "from 1"),
    ("query{stage=ramp}.p95 <= 1s", 13, "from 1"),
    ("query{window=10}.p95 <= 1s", 14, "a time over 0, such as 10s"),
    ("query{window=0s}.p95 <= 1s", 14, "a time over 0"),
    ("background{text=known}.failures <= 1", 11, "not counted per request"),
    ("query.wal_bytes_per_op <= 4KiB", 28, "its unit in its name: write a number without one"),
    ("query.rows_per_op <= 4kB", 23, "its unit in its name: write a number without one"),
    ("query.statements <= 4kB", 21, "write 4 without a unit"),
    ("query.p95 <= 4kB", 14, "write 4ms or 4s"),
    ("query.server_cpu_ms_per_op <= 4ms", 31, "has its unit in its name: write 4 without one"),
    ("query.server_cpu_ms_per_op <= 4 + n", 31, "has its unit in its name"),
    ("query{text=known}.wal_bytes_per_op <= 4", 6, "not counted per request"),
    ("add.wal_bytes_per_op <= 4", 1, "Name a phase instead, or give add one of its own. Known: mix."),
    ("query.search.plan <= 4", 19, "expected uses and the name of an index"),
    ("query.search.plan uses", 23, "expected the name of an index"),
    ("query.search.plan uses a and b", 24, "the name of one index"),
    ("query{text=known}.plan uses a", 6, "not counted per request"),
    ("query.recall >= 90", 17, "write 90%"),
    ("query.throughput >= 20", 21, "write 20/s"),
    ("query.throughput >= 20ms", 21, "write 20/s"),
    ("query.statements <= 4/s", 21, "write 4 without a unit"),
    ("query.p95 <= 300ms abort soon", 26, "expected after and a time"),
    ("query.p95 <= 300ms abort after", 31, "a time over 0"),
    ("query.p95 <= 300ms abort after 30", 32, "a time over 0"),
    ("query.p95 <= 300ms abort after 30s or so", 32, "a time over 0"),
    ("query.throughput >= 20/s abort", 26, "only when the run is over"),
    ("quer.throughput >= 20/s", 1, "no operation 'quer'. Did you mean 'query'?"),
    ("query.hit_rate >= 80%", 1, "write cache.hit_rate"),
    ("cache.p95 <= 1s", 7, "cache has no p95. Known: hit_rate"),
    ("background.failurs <= 1", 12, "Did you mean 'failures'?"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSALS)
def test_a_mistake_is_shown_at_its_column_with_a_way_out(text: str, column: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, VOCABULARY)
    first, shown, carets = str(caught.value).split("\n")
    assert first.startswith(f"budget, column {column}: ")
    assert message in first
    assert shown.strip() == text.strip()
    assert carets.index("^") == column + 1


def test_without_a_vocabulary_any_name_is_taken() -> None:
    assert parse("other: import.p95 <= 3ms").variant == "other"


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("query.p95 <= 1s", ["known query", "first query"]),
        ("query{text=known}.p95 <= 1s", ["known query"]),
        ("query{text=first}.p95 <= 1s", ["first query"]),
        ("bootstrap.p95 <= 1s", ["bootstrap"]),
        ("cache.hit_rate >= 1%", ["known query", "first query", "bootstrap"]),
        ("cache{text=first}.hit_rate >= 1%", ["first query"]),
        ("mix.p95 <= 1s", ["first query", "bootstrap"]),
        ("mix{stage=2}.p95 <= 1s", ["bootstrap"]),
    ],
)
def test_a_budget_selects_samples_by_operation_and_text(text: str, selected: list[str]) -> None:
    samples = {
        "known query": sample("query", first_time_text=False),
        "first query": sample("query", first_time_text=True, phase="mix", stage=0),
        "bootstrap": sample("bootstrap", phase="mix", stage=1),
    }
    assert [name for name, each in samples.items() if parse(text).selects(each)] == selected


PHASES_OF_CACHES = {"find": ("find",), "find_cold": ("find{cache=cold}",), "buy": ("buy",)}
CACHES = Vocabulary(("current",), ("find", "buy"), PHASES_OF_CACHES)


@pytest.mark.parametrize(
    ("budget", "selected"),
    [
        ("find.p95 <= 9ms", ["find"]),
        ("find{cache=warm}.p95 <= 9ms", ["find"]),
        ("find{cache=cold}.p95 <= 9ms", ["find{cache=cold}"]),
        ("find_cold.errors <= 0%", ["find{cache=cold}"]),
        ("find_cold{cache=cold}.p95 <= 9ms", ["find{cache=cold}"]),
    ],
)
def test_cold_requests_are_meant_only_where_a_budget_says_so_or_names_their_phase(
    budget: str, selected: list[str]
) -> None:
    measured = [sample("find", phase="find"), sample("find{cache=cold}", phase="find_cold"), sample("buy", phase="buy")]
    read = parse(budget, CACHES)
    assert parse(str(read)) == read
    assert [each.operation for each in measured if read.selects(each)] == selected


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("buy{cache=cold}.p95 <= 9ms", 'no phase asks buy with a cold cache. Add one that states `cache = "cold"`.'),
        ("find_cold{cache=warm}.p95 <= 9ms", "no phase asks find_cold with a warm cache. Add one without"),
        ("find{cache=hot}.p95 <= 9ms", "unknown cache 'hot'. Known: cold, warm."),
        ("find{cache=cold}.throughput >= 9/s", "throughput says nothing of requests that wait for a cold cache."),
    ],
)
def test_a_cache_that_is_not_asked_is_refused(budget: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(budget, CACHES)
    assert said in str(refused.value)
