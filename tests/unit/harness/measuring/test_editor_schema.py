"""The schema of a scenario file, as an editor reads it: it takes every scenario that there is, and no typing error."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.measuring import scenario_files
from harness.measuring.values import VALUES

ROOT = Path(__file__).parents[4]
SCENARIOS = sorted([*(ROOT / "scenarios").glob("*.toml"), *(ROOT / "examples").rglob("*.toml")])
validators = pytest.importorskip("jsonschema_rs")

SCHEMA = scenario_files.json_schema()
VALIDATOR = validators.validator_for(SCHEMA)


def read(path: Path) -> dict[str, Any]:
    """As JSON has it, where a date is text."""
    document: dict[str, Any] = json.loads(json.dumps(tomllib.loads(path.read_text()), default=str))
    return document


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_it_takes_every_scenario_that_is_shipped_and_every_example(path: Path) -> None:
    assert [(each.message[:200], each.instance_path) for each in VALIDATOR.iter_errors(read(path))] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("budgts", []),
        ("target", "sqll"),
        ("latency", "mars"),
        ("database.sede", "seed.sql"),
        ("database.seed", {"command": ["python"], "directry": "."}),
        ("variants.before.migrat", "x.sql"),
        ("phases.0.mixx", {}),
        ("phases.0.arrival", {"kind": "closed"}),
        ("operations.latest_orders.sqls", "SELECT 1"),
        ("operations.latest_orders.arguments", [{"zipf": {"form": "SELECT 1"}}, 20]),
        ("operations.latest_orders.arguments", [{"uniform": {"min": "a"}}, 20]),
    ],
)
def test_it_refuses_what_is_mistyped(place: str, value: object) -> None:
    document = read(ROOT / "examples" / "shop" / "shop.toml")
    assert VALIDATOR.is_valid(document)
    *sections, key = place.split(".")
    section: Any = document
    for name in sections:
        section = section[int(name) if name.isdigit() else name]
    section[key] = value
    assert not VALIDATOR.is_valid(document)


def test_every_kind_of_drawn_value_is_described_and_so_are_its_keys() -> None:
    kinds = SCHEMA["$defs"]["Drawn"]["properties"]
    assert set(kinds) == set(VALUES)
    for kind, settings in kinds.items():
        assert settings["description"], kind
        for key, each in SCHEMA["$defs"][VALUES[kind].__name__].get("properties", {}).items():
            assert each.get("description"), f"{kind}.{key}"
