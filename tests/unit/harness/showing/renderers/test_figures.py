"""What goes into the charts: who answered, what was read, and what budgets allow for each number of results."""

import re

from harness.judging.verdict import judge
from harness.record import LevelsRecord, RunRecord
from harness.showing.renderers.html.figures import law_figures
from harness.showing.renderers.html.inline_svg import Figure
from harness.showing.renderers.html.time_figures import system_figures
from harness.showing.summary import summarise
from tests.records import HOSTILE, guide_record, phase, record, sample, variant


def described(figure: Figure) -> str:
    found = re.search('aria-label="([^"]*)"', figure.svg)
    assert found is not None
    return found[1]


def of_pair(run: RunRecord) -> list[Figure]:
    return list(system_figures(run, summarise(run)))


def laws(run: RunRecord) -> list[Figure]:
    return list(law_figures(run, summarise(run), judge(run)))


def test_cache_pool_and_queue_are_told_apart() -> None:
    samples = [
        sample(started_s=0.1, embedding="cache", elapsed_s={"pool": 0.002, "embedding": 0.001}),
        sample(started_s=0.2, embedding="ollama", elapsed_s={"pool": 0.005, "embedding": 0.5, "coalesced": 0.5}),
        sample(started_s=0.3, embedding="ollama", elapsed_s={"embedding": 0.5}),
    ]
    levels = LevelsRecord(at_s=(0.0, 0.1, 0.2), values={"background_queued": (0, 7, 2), "pool_in_use": (1, 3, 2)})
    (figure,) = of_pair(record(variant(samples=samples, phases=(phase(levels=levels),))))
    told = described(figure)
    assert "1 cache, 1 coalesced, 1 provider" in told
    assert "wait for a connection: at most 5.00 ms" in told
    assert "connections in use: at most 3" in told
    assert "background queue: at most 7" in told


def test_only_the_first_round_is_drawn() -> None:
    samples = [sample(round=number, embedding="cache") for number in (1, 1, 2)]
    (figure,) = of_pair(record(variant(samples=samples)))
    assert "2 cache" in described(figure)


def test_a_run_that_tells_nothing_of_its_system_has_no_chart_of_it() -> None:
    assert of_pair(record(variant(samples=[sample()]))) == []


def test_statements_are_drawn_against_results_where_these_vary() -> None:
    (figure,) = laws(guide_record())
    assert figure.title == "query"
    assert "batched 3 to 3 for n from 18 to 20" in described(figure)
    assert "batched: &lt;= 4 + ceil(n / 500)" in described(figure)


def test_one_number_of_results_makes_no_chart() -> None:
    assert laws(record(variant(samples=[sample(results=20, statements=3)] * 5))) == []


def test_without_a_law_there_are_only_counts() -> None:
    samples = [sample(results=n, statements=n + 2) for n in (1, 5)]
    (figure,) = laws(record(variant(HOSTILE, samples)))
    assert "3 to 7 for n from 1 to 5" in described(figure)
    assert "Held to" not in described(figure)
