"""The published schemas: what is written is of them, and a version that is out changes no more."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from harness.command_line import SCHEMAS, harness
from harness.commands.schema import schema_of

ROOT = Path(__file__).parents[4]
PUBLISHED = sorted((ROOT / "docs/schemas").glob("*.json"))


def changes(published: Any, now: Any, place: str = "") -> list[str]:
    """What a reader of the published schema would stumble over: all but what is added, or said in other words."""
    if isinstance(published, dict) and isinstance(now, dict):
        published, now = _as_choices(published), _as_choices(now)
        found = [f"{place}/{key} is gone" for key in published if key not in now and key not in SAID]
        if "properties" in published:
            found += [f"{place}: {key} is required now" for key in _required(now) - set(published["properties"])]
        for key in published:
            if key in now and key not in SAID:
                found += changes(published[key], now[key], f"{place}/{key}")
        return found
    if isinstance(published, list) and isinstance(now, list):
        return [f"{place}: {each} is gone" for each in published if each not in now]
    return [] if published == now else [f"{place}: {published} became {now}"]


def _as_choices(schema: dict[str, Any]) -> dict[str, Any]:
    """One value is a choice from one, to which others may be added."""
    others = {key: value for key, value in schema.items() if key != "const"}
    return {**others, "enum": [schema["const"]]} if "const" in schema else others


SAID = {"description", "title", "default", "examples", "required"}
"""A field that a schema no longer requires is caught where readers look for it, by the fields that are gone."""


def _required(schema: dict[str, Any]) -> set[str]:
    return set(schema.get("required", ()))


def test_all_but_the_scenarios_are_published() -> None:
    assert {path.name for path in PUBLISHED} == {f"{kind}.v1.json" for kind in SCHEMAS if kind != "scenario"}


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_what_is_published_still_holds(path: Path) -> None:
    kind = path.name.partition(".")[0]
    found = changes(json.loads(path.read_text(encoding="utf-8")), schema_of(kind))
    assert found == [], "a new version is needed, beside this one"


STORED = {"run": "record.json", "verdict": "report.json"}


@pytest.mark.parametrize(("kind", "file"), STORED.items(), ids=STORED)
def test_the_reference_run_is_of_the_published_schemas(kind: str, file: str) -> None:
    schema = json.loads((ROOT / f"docs/schemas/{kind}.v1.json").read_text(encoding="utf-8"))
    stored = json.loads((ROOT / "reports/reference" / file).read_text(encoding="utf-8"))
    assert [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(stored)] == []
    assert not jsonschema_rs.validator_for(schema).is_valid({})


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({"properties": {"a": {"type": "string", "const": "x"}, "b": {"type": "null"}}, "required": ["a"]}, []),
        ({"properties": {"a": {"type": "string", "enum": ["x", "y"]}}}, []),
        ({"properties": {"b": {"type": "null"}}}, ["/properties/a is gone"]),
        ({"properties": {"a": {"type": "integer", "const": "x"}}}, ["/properties/a/type: string became integer"]),
        (
            {"properties": {"a": {"const": "x", "type": "string"}, "b": {}}, "required": ["a", "b"]},
            [": b is required now"],
        ),
    ],
)
def test_what_is_no_addition_is_found(now: dict[str, Any], found: list[str]) -> None:
    published = {"properties": {"a": {"type": "string", "const": "x"}}, "required": ["a"]}
    assert changes(published, now) == found


@pytest.mark.parametrize("kind", [kind for kind in SCHEMAS if kind != "scenario"])
def test_a_schema_is_printed(kind: str) -> None:
    printed = CliRunner().invoke(harness, ["schema", kind])
    assert json.loads(printed.stdout) == schema_of(kind)


def test_an_unknown_kind_is_refused() -> None:
    refused = CliRunner().invoke(harness, ["schema", "report"])
    assert refused.exit_code == 2
    assert "'scenario', 'run', 'verdict', 'comparison', 'profile', 'events'" in refused.stderr


@pytest.mark.parametrize("asked", ["--json", "--quiet"])
def test_all_tables_cannot_be_shown_where_there_are_none(asked: str) -> None:
    refused = CliRunner().invoke(harness, ["run", "smoke", "--all", asked])
    assert "ask for one of them" in str(refused.exception)
