"""A scenario of SQL statements, from its file to what each variant sends; and what is refused, with its place."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring import scenario_files
from harness.measuring.targets.sql.scenario import SqlScenario

HEAD = """
name = "shop"
target = "sql"
[[phases]]
requests = 1
"""


def load(directory: Path, text: str, *settings: str, strategies: str | None = None) -> SqlScenario:
    path = directory / "shop.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    loaded = scenario_files.load_scenario(str(path), settings=settings, strategies=strategies)
    assert isinstance(loaded, SqlScenario)
    return loaded


def sent(scenario: SqlScenario, variant: str) -> dict[str, list[str]]:
    return {name: [each.sql for each in several] for name, several in scenario.statements(variant).items()}


def test_a_variant_sends_what_it_overrides(tmp_path: Path) -> None:
    (tmp_path / "queries.sql").write_text("-- name: filed\nSELECT :a::int\n", encoding="utf-8")
    (tmp_path / "other.sql").write_text("-- name: filed\nSELECT 1 + :a::int\n", encoding="utf-8")
    scenario = load(
        tmp_path,
        """
[variants.before]
[variants.after]
queries = "other.sql"
operations.plain.sql = ["SELECT 2", "SELECT $1::int"]
[operations.plain]
sql = "SELECT $1::int"
arguments = [7]
[operations.filed]
arguments = { a = { uniform = { min = 1, max = 9 } } }
""",
        'queries="queries.sql"',
    )
    assert sent(scenario, "before") == {"plain": ["SELECT $1::int"], "filed": ["SELECT $1::int"]}
    assert sent(scenario, "after") == {"plain": ["SELECT 2", "SELECT $1::int"], "filed": ["SELECT 1 + $1::int"]}


def test_one_variant_can_be_chosen(tmp_path: Path) -> None:
    text = '[operations.x]\nsql = "SELECT 1"\n[variants.before]\n[variants.after]\n'
    scenario = load(tmp_path, text, strategies="after")
    assert (scenario.variant_names, scenario.baseline, scenario.candidate) == (("after",), "after", "after")
    with pytest.raises(UsageError, match=r"no variant 'aftr'\. Did you mean 'after'"):
        load(tmp_path, text, strategies="aftr")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[operations.x]\n", "operations.x: `sql` is missing, and there is no file of `queries` either."),
        ('[operations.x]\nsql = "SELECT $1"\n', "operations.x: nothing draws $1"),
        ('[operations.x]\nsql = "SELECT 1"\narguments = [1]\n', "operations.x: no statement has $1"),
        ('[operations.x]\nsql = "SELECT 1"\n[variants.a]\noperations.y.sql = "SELECT 2"\n', "for a variant: 'y'"),
        (
            '[operations.x]\nsql = "SELECT 1"\n[variants.a]\nmigrate = "no.sql"\n',
            "variants.a.migrate.0: there is no file",
        ),
        (
            '[operations.x]\nsql = "SELECT $1"\narguments = [{ zipf = { exponnent = 1, min = 1, max = 2 } }]\n',
            "unknown key 'operations.x.arguments.0.zipf.exponnent'. Did you mean 'exponent'",
        ),
        (
            '[operations.x]\nsqll = "SELECT 1"\n',
            "unknown key 'operations.x.sqll'. Did you mean 'sql'",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path}/shop.toml: ")
    assert message in str(refused.value)


def test_a_worker_reads_what_it_is_told_as_the_same_scenario(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("", encoding="utf-8")
    told = load(tmp_path, '[database]\nschema = "schema.sql"\n[operations.x]\nsql = "SELECT 1"\n')
    assert scenario_files.parsed(told.for_worker) == told


def test_arguments_of_which_none_is_drawn_are_a_sample_of_one(tmp_path: Path) -> None:
    text = """
[operations.literal]
sql = "SELECT $1::int"
arguments = [7]
[operations.drawn]
sql = "SELECT $1::int + $2::int"
arguments = [{ uniform = { min = 1, max = 9 } }, 7]
[operations.none]
sql = "SELECT 1"
"""
    [doubt] = load(tmp_path, text).doubts
    assert doubt.startswith("operations.literal: no argument is drawn, so that every request is the same")
