"""A docstring of what is public is a sentence about it, and no bare clause such as "Whether it holds"."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted([*(ROOT / "anima").rglob("*.py"), *(ROOT / "harness").rglob("*.py")])
CLAUSE = re.compile(r"(How|What|Whether|Which|Who|Why)\b")
SENTENCES = {
    "BodyLimit",
    "Cable.restore",
    "ContainerProvisioner.check",
    "Drawing",
    "EmbeddedProvisioner.check",
    "OpenPython.perform",
    "OwnScenario.completed",
    "PythonTarget.schema_version",
    "Script.teardown",
    "Senders.note",
    "refused",
    "spending_of_request",
    "with_search_path",
}
"""Whose clause is the subject of a sentence: "What was held back goes on"."""


def documented(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The docstrings of a module and of what is public in it, by their names."""

    def within(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
        for each in body:
            if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and each.name[0] != "_":
                yield prefix + each.name, ast.get_docstring(each) or ""
                if isinstance(each, ast.ClassDef):
                    yield from within(each.body, f"{each.name}.")

    yield "", ast.get_docstring(tree) or ""
    yield from within(tree.body)


@pytest.mark.parametrize("root", ["anima", "harness"])
def test_no_docstring_of_what_is_public_is_a_bare_clause(root: str) -> None:
    clauses = [
        f"{path.relative_to(ROOT)}: {name}: {docstring.splitlines()[0]}"
        for path in MODULES
        if path.relative_to(ROOT).parts[0] == root
        for name, docstring in documented(ast.parse(path.read_text(encoding="utf-8")))
        if CLAUSE.match(docstring) and name not in SENTENCES
    ]
    assert not clauses, "\n".join(clauses)


def test_a_bare_clause_is_found() -> None:
    tree = ast.parse('class A:\n    """Says it."""\n    def is_it(self):\n        """Whether it is."""')
    assert [name for name, docstring in documented(tree) if CLAUSE.match(docstring)] == ["A.is_it"]
