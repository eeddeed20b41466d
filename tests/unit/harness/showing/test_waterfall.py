import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.samples import Sample
from harness.showing.waterfall import COALESCED, EMBEDDING, LATENESS, NETWORK, POOL, REST, RETRIES, parts_of, waterfall
from tests.records import sample


def told(service_time_s: float = 0.1, **fields: Any) -> Sample:
    parts: dict[str, Any] = {
        "elapsed_s": {POOL: 0.01, EMBEDDING: 0.02, "search": 0.03, "commit": 0.01},
        "calls": {"search": 1, "commit": 1},
    }
    return sample(service_time_s=service_time_s, **{"embedding": "cache"} | parts | fields)


def test_a_request_is_split_into_what_it_waited_for() -> None:
    assert parts_of(told(), injected_rtt_s=0.004) == pytest.approx(
        {POOL: 0.01, "embedding (cache)": 0.02, NETWORK: 0.008, "search": 0.026, "commit": 0.006}
    )


def test_what_is_left_is_code_and_the_rest() -> None:
    found = waterfall([told()], 0.95, 0.0)
    assert found is not None
    assert found.parts_s[REST] == pytest.approx(0.1 - 0.07)


def test_no_more_than_was_waited_is_called_network() -> None:
    assert parts_of(told(), injected_rtt_s=1.0)[NETWORK] == pytest.approx(0.04)


def test_a_late_start_is_a_part_only_where_the_start_was_scheduled() -> None:
    late = replace(told(), intended_s=told().started_s - 0.5)
    assert LATENESS not in parts_of(late, 0.0)
    assert parts_of(replace(late, scheduled=True), 0.0)[LATENESS] == pytest.approx(0.5)


def test_only_requests_around_the_quantile_count() -> None:
    slow = [told(0.2 + number / 1000, elapsed_s={"search": 0.19}) for number in range(10)]
    fast = [told(0.1, elapsed_s={"search": 0.01}) for _ in range(190)]
    found = waterfall([*fast, *slow], 0.99, 0.0)
    assert found is not None
    assert found.parts_s["search"] == pytest.approx(0.19)
    assert found.requests == 7


def test_requests_that_failed_or_say_nothing_are_left_out() -> None:
    assert waterfall([sample(), told(error="Timeout")], 0.95, 0.0) is None


def test_an_embedding_is_split_into_its_provider_another_requests_call_and_failed_attempts() -> None:
    waited = told(embedding="ollama", elapsed_s={EMBEDDING: 0.06, COALESCED: 0.01, RETRIES: 0.02}, calls=None)
    assert parts_of(waited, 0.0) == pytest.approx(
        {"embedding (ollama)": 0.03, "embedding (coalesced)": 0.01, "embedding (retries)": 0.02}
    )


times = st.floats(0, 10)


@given(st.lists(st.tuples(*[times] * 6), min_size=1, max_size=30), times, st.floats(0.01, 0.99))
def test_the_parts_sum_to_the_whole(rows: list[tuple[float, ...]], rtt_s: float, probability: float) -> None:
    names = POOL, EMBEDDING, COALESCED, RETRIES, "search"
    samples = [told(whole, elapsed_s=dict(zip(names, parts, strict=True))) for whole, *parts in rows]
    found = waterfall(samples, probability, rtt_s)
    assert found is not None
    assert math.fsum(found.parts_s.values()) == pytest.approx(found.whole_s, abs=1e-9)
