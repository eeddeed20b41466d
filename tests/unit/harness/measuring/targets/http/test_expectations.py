"""What counts as another answer than the one that was expected."""

import pytest

from harness.measuring.targets.http.expectations import differences


@pytest.mark.parametrize(
    ("expected", "answered"),
    [
        ({}, {"a": 1}),
        ({"a": 1}, {"a": 1.0, "b": 2}),
        ({"a": {"b": [1, {"c": "x"}]}}, {"a": {"b": [1, {"c": "x", "d": None}]}}),
        ((1, 2), [1, 2]),
        (None, None),
    ],
)
def test_as_expected(expected: object, answered: object) -> None:
    assert list(differences(expected, answered, "json")) == []


@pytest.mark.parametrize(
    ("expected", "answered", "told"),
    [
        ({"a": 1}, {}, ["json.a is missing"]),
        ({"a": None}, {}, ["json.a is missing"]),
        ({"a": 1}, {"a": True}, ["json.a is true instead of 1"]),
        ({"a": "1"}, {"a": 1}, ['json.a is 1 instead of "1"']),
        ({"a": {"b": 1}}, {"a": []}, ['json.a is [] instead of {"b": 1}']),
        ([1], [1, 2], ["json has 2 items instead of 1"]),
        ([{"a": 1}, 2], [{"a": 3}, 4], ["json.0.a is 3 instead of 1", "json.1 is 4 instead of 2"]),
        ("x", "y" * 200, [f'json is "{"y" * 79}… instead of "x"']),
    ],
)
def test_otherwise_than_expected(expected: object, answered: object, told: list[str]) -> None:
    assert list(differences(expected, answered, "json")) == told
