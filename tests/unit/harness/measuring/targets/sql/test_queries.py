"""Placeholders of statements, and files that are split by names."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring.targets.sql.queries import mismatch, read_file, read_statement


@pytest.mark.parametrize(
    ("written", "sql", "arguments"),
    [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT $2, $1", "SELECT $1, $2", ("2", "1")),
        ("SELECT :a::int, '2026-01-01'::date", "SELECT $1::int, '2026-01-01'::date", ("a",)),
        ("SELECT ':b', 'it''s :b', :a", "SELECT ':b', 'it''s :b', $1", ("a",)),
        (r"SELECT E'\':b', :a", r"SELECT E'\':b', $1", ("a",)),
        ('SELECT ":b", :a', 'SELECT ":b", $1', ("a",)),
        ("SELECT 1 -- of :b's\n, :a", "SELECT 1 -- of :b's\n, $1", ("a",)),
        ("SELECT /* :b /* :c */ $1 */ :a", "SELECT /* :b /* :c */ $1 */ $1", ("a",)),
        ("SELECT $$ :b $1 $$, :a", "SELECT $$ :b $1 $$, $1", ("a",)),
        ("SELECT $f$ $$ :b $f$, :a", "SELECT $f$ $$ :b $f$, $1", ("a",)),
        ("SELECT x[1:2], y[n:m], f(a := 1), :a", "SELECT x[1:2], y[n:m], f(a := 1), $1", ("a",)),
        ("SELECT a$1 FROM t WHERE b=:a", "SELECT a$1 FROM t WHERE b=$1", ("a",)),
        ("SELECT '{\"a\": 1}'::jsonb -> :a", "SELECT '{\"a\": 1}'::jsonb -> $1", ("a",)),
    ],
)
def test_only_placeholders_become_parameters(written: str, sql: str, arguments: tuple[str, ...]) -> None:
    statement = read_statement("x", written)
    assert (statement.sql, statement.arguments) == (sql, arguments)


def test_a_position_of_the_server_is_shown_where_the_author_wrote_it() -> None:
    statement = read_statement("x", "SELECT :customer_id,\n  :other FORM t")
    assert statement.sql == "SELECT $1,\n  $2 FORM t"
    assert statement.pointed_at(statement.sql.index("FORM") + 1) == "      :other FORM t\n           ^".replace(
        "           ^", "             ^"
    )


def test_a_file_is_split_by_names(tmp_path: Path) -> None:
    path = tmp_path / "queries.sql"
    path.write_text("-- name: one^\n-- What it is for.\nSELECT 1;\n\n--name: two\nSELECT 2\n;\n", encoding="utf-8")
    assert dict(read_file(path)) == {"one": "-- What it is for.\nSELECT 1", "two": "SELECT 2\n"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("SELECT 1", "names no statement"),
        ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n", r":3: a is the name of an earlier statement"),
    ],
)
def test_a_file_that_cannot_be_split_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "queries.sql"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_file(path)


@pytest.mark.parametrize(
    ("written", "given", "by_name", "wrong"),
    [
        ("SELECT $1", ["1"], False, None),
        ("SELECT :a", ["a"], True, None),
        ("SELECT 1", [], False, None),
        ("SELECT $1, $2", ["1"], False, "nothing draws $2: add it to `arguments` (it has $1)"),
        ("SELECT :a", [], False, "nothing draws :a: add it to `arguments` (there is none)"),
        ("SELECT :a", ["a", "b"], True, "no statement has :b, which `arguments` has"),
        ("SELECT $1", ["1", "2"], False, "no statement has $2, which `arguments` has"),
        ("SELECT :a", ["1"], False, ":a takes its value from a name, as in { a = … }, and `arguments` is a list"),
        ("SELECT $1", ["a"], True, "$1 takes its value from a list, as in [20], and `arguments` is a table"),
    ],
)
def test_arguments_that_do_not_fit_are_told(written: str, given: list[str], by_name: bool, wrong: str | None) -> None:
    found = mismatch([read_statement("x", written)], given, by_name=by_name)
    assert found == wrong or (found and wrong and found.startswith(wrong))
