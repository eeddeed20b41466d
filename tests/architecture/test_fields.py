"""A value with many fields says below each of them what it is: in a scenario every key, for `harness schema`."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from harness.measuring import scenario_files

ROOT = Path(__file__).parents[2]
WIDE = 9
"""Fields from which a value is one that nobody keeps in mind."""


def undocumented(source: str) -> Iterator[str]:
    """The fields of wide values that have no docstring below them.

    A plain class without a base is no value: its attributes answer a protocol, which documents them.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef) or not (node.bases or node.decorator_list):
            continue
        fields = [
            (place, each)
            for place, each in enumerate(node.body)
            if isinstance(each, ast.AnnAssign) and not ast.unparse(each.annotation).startswith("ClassVar")
        ]
        if len(fields) < WIDE:
            continue
        for place, each in fields:
            match node.body[place + 1 : place + 2]:
                case [ast.Expr(value=ast.Constant(value=str()))]:
                    pass
                case _:
                    yield f"{node.name}.{ast.unparse(each.target)}"


def keys_without_description(schema: object) -> Iterator[str]:
    if isinstance(schema, list):
        for each in cast("list[object]", schema):
            yield from keys_without_description(each)
    elif isinstance(schema, dict):
        section = cast("dict[str, Any]", schema)
        if section.get("type") == "object":
            keys: dict[str, Any] = section.get("properties", {})
            yield from (f"{section.get('title')}.{key}" for key, said in keys.items() if not said.get("description"))
        for each in section.values():
            yield from keys_without_description(each)


def test_every_field_of_a_wide_value_is_documented() -> None:
    paths = [path for package in ("anima", "harness") for path in sorted((ROOT / package).rglob("*.py"))]
    assert [name for path in paths for name in undocumented(path.read_text(encoding="utf-8"))] == []


def test_a_field_without_a_docstring_is_found() -> None:
    fields = [f"    f{number}: int\n    'What it is.'\n" for number in range(WIDE - 1)]
    assert list(undocumented("@dataclass\nclass Wide:\n" + "".join(fields))) == []
    assert list(undocumented("@dataclass\nclass Wide:\n" + "".join(fields) + "    last: int\n")) == ["Wide.last"]


def test_every_key_of_a_scenario_is_described_in_its_schema() -> None:
    schema = scenario_files.json_schema()
    assert "query.p95" in schema["$defs"]["MemoryScenario"]["properties"]["budgets"]["description"]
    assert list(keys_without_description(schema)) == []


def test_a_key_without_a_description_is_found() -> None:
    keys = {"size": {"type": "integer"}, "seed": {"type": "integer", "description": "Of all draws."}}
    schema = {"$defs": {"Corpus": {"title": "Corpus", "type": "object", "properties": keys}}}
    assert list(keys_without_description(schema)) == ["Corpus.size"]
