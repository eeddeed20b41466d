"""Where two values differ."""

from datetime import UTC, datetime

import pytest

from harness.measuring.targets.anima.equivalence.observation import differences


@pytest.mark.parametrize(
    ("expected", "observed", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["['a']: expected 1, got 2"]),
        ({"a": 1.0}, {"a": 1.0 + 9e-10}, []),
        ({"a": 1.0}, {"a": 1.0 + 2e-9}, ["['a']: expected 1.0, got 1.000000002"]),
        ({"a": 1}, {}, ["['a']: expected 1, got nothing"]),
        ({}, {"a": {"b": 1}}, ["['a']: expected nothing, got something"]),
        ([1, 2], [1, 3, 4], ["[1]: expected 2, got 3", "[2]: expected nothing, got 4"]),
        ({"a": [{"b": None}]}, {"a": [{"b": "x"}]}, ["['a'][0]['b']: expected None, got 'x'"]),
        (datetime(2026, 1, 1, tzinfo=UTC), 1, [": expected 2026-01-01T00:00:00+00:00, got 1"]),
    ],
)
def test_each_difference_has_its_place(expected: object, observed: object, found: list[str]) -> None:
    assert list(differences(expected, observed)) == found
