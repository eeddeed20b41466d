"""Every kind of drawn value: seeded, as JSON has it, and within what it was told."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.errors import UsageError
from harness.measuring.arguments import Argument
from harness.measuring.beside import DIRECTORY
from harness.measuring.draws import Draws
from harness.measuring.values import VALUES

SETTINGS: dict[str, dict[str, Any]] = {
    "sequence": {"start": 5, "step": 2},
    "uniform": {"min": 1, "max": 3},
    "zipf": {"of": ["a", "b", "c"]},
    "uuid": {},
    "words": {"count": 2},
    "sentences": {"count": 2},
    "date": {"min": "2024-02-28", "max": "2024-03-01"},
    "timestamp": {},
    "vector": {"dimensions": 4},
    "literal": {"value": {"words": {}}},
}


def drawn(said: object, count: int, seed: int = 1) -> list[Any]:
    argument = Argument.model_validate(said)
    return list(islice(argument.stream(lambda place: Draws(seed, place)), count))


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_comes_out_the_same_again_and_is_what_json_can_hold(kind: str) -> None:
    values = drawn({kind: SETTINGS[kind]}, 50)
    assert values == drawn({kind: SETTINGS[kind]}, 50)
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - {"sequence", "literal"}))
def test_another_seed_draws_others(kind: str) -> None:
    assert drawn({kind: SETTINGS[kind]}, 50) != drawn({kind: SETTINGS[kind]}, 50, seed=2)


@pytest.mark.parametrize("kind", VALUES)
def test_what_is_drawn_survives_its_way_to_a_worker(kind: str) -> None:
    argument = Argument.model_validate({kind: SETTINGS[kind]})
    assert Argument.model_validate(argument.model_dump(mode="json", round_trip=True)) == argument


def test_ranges_contain_both_ends() -> None:
    assert set(drawn({"uniform": {"min": 1, "max": 3}}, 200)) == {1, 2, 3}
    assert set(drawn({"date": {"min": "2024-02-28", "max": "2024-03-01"}}, 200)) == {
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
    }
    assert drawn({"sequence": {"start": 5, "step": 2}}, 3) == [5, 7, 9]


def test_zipf_draws_the_first_most_often() -> None:
    values = drawn({"zipf": {"min": 1, "max": 10}}, 2_000)
    assert values.count(1) > values.count(2) > values.count(10) > 0


def test_a_literal_stands_for_itself_also_where_it_looks_like_a_kind() -> None:
    assert drawn({"date": "2024-01-01", "tags": ["a", 1, 2.5, True]}, 1) == [
        {"date": "2024-01-01", "tags": ["a", 1, 2.5, True]}
    ]
    assert drawn({"literal": {"value": {"words": {}}}}, 1) == [{"words": {}}]


def test_values_deep_in_a_structure_are_drawn_apart() -> None:
    [first, second] = drawn({"title": {"words": {"count": 3}}, "more": [{"words": {"count": 3}}]}, 2)
    assert first != second
    assert first["title"] != first["more"][0]


def test_lines_of_a_file_beside_the_scenario_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ada\n\ngrace\n", encoding="utf-8")
    argument = Argument.model_validate({"uniform": {"file": "names.txt"}}, context={DIRECTORY: tmp_path})
    assert set(islice(argument.stream(lambda place: Draws(1, place)), 50)) == {"ada", "grace"}


async def test_rows_of_a_statement_are_carried_with_the_argument() -> None:
    async def ask(statement: str) -> list[Any]:
        assert statement == "SELECT 1"
        return [7, 8]

    argument = Argument.model_validate([{"zipf": {"from": "SELECT 1"}}, 20])
    found = await argument.with_rows(ask)
    told = Argument.model_validate(found.model_dump(mode="json", round_trip=True))
    assert {tuple(each) for each in islice(told.stream(lambda place: Draws(1, place)), 50)} == {(7, 20), (8, 20)}
    with pytest.raises(UsageError, match="not there yet"):
        next(argument.stream(lambda place: Draws(1, place)))


async def test_a_statement_without_a_row_is_refused() -> None:
    async def ask(statement: str) -> list[Any]:
        del statement
        return []

    with pytest.raises(UsageError, match="`SELECT id FROM customers` gives no row"):
        await Argument.model_validate({"zipf": {"from": "SELECT id FROM customers"}}).with_rows(ask)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"zipf": {}}, "one of min and max, of, from, file says what is drawn; stated: none"),
        ({"zipf": {"of": [1], "min": 1, "max": 2}}, "stated: min and max, of"),
        ({"uniform": {"min": 1}}, "needs both `min` and `max`"),
        ({"uniform": {"min": 2, "max": 1}}, "min is 2, which is more than max, 1"),
        ({"date": {"min": "2026-02-02", "max": "2026-02-01"}}, "which is after max"),
        ({"zipf": {"min": 1, "max": 2_000_000}}, "at most 1,000,000 values"),
        ({"uniform": {"file": "nowhere.txt"}}, "there is no file nowhere.txt"),
        ({"words": {"number": 3}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_drawn_is_refused(said: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Argument.model_validate(said)


@pytest.mark.parametrize(
    ("said", "is_one"),
    [
        ({"zipf": {"of": ["a", "a"]}}, True),
        ({"uniform": {"min": 1, "max": 1}}, True),
        ({"uniform": {"min": 1, "max": 2}}, False),
        ({"sequence": {"step": 0}}, True),
        ({"date": {"min": "2026-01-01", "max": "2026-01-01"}}, True),
        ({"uuid": {}}, False),
        ({"literal": {"value": 1}}, False),
    ],
)
def test_a_drawn_value_that_never_changes_is_known(said: object, is_one: bool) -> None:
    [(_, value)] = Argument.model_validate(said).drawn
    assert value.is_one_value is is_one
