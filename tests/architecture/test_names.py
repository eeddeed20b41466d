"""One meaning per name: a public class whose name another one has already says why, or is called something else."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]

WIRE = "the service's answer, and what its client reads of it: neither side may import the other"
A_LIBRARY_OF_ITS_OWN = "a file that is read by itself, before or without the rest of its package"
KNOWN = {
    "Clock": "the measurement's, and what a drawn script is told instead of it",
    "Commands": "the command line's, and those that a cache sends to Redis: of two programs",
    "Described": "a metric, and a route, each with its text for people; both within the service",
    "Distribution": WIRE,
    "Effort": "how much a self-test simulates, and how often a fixture calls: neither is seen by the other",
    "ErrorBody": WIRE,
    "Failure": WIRE,
    "Frozen": A_LIBRARY_OF_ITS_OWN,
    "Memory": "what anima keeps, and the probe of the machine's: named after what a budget calls it",
    "Meta": WIRE,
    "Metrics": WIRE,
    "Recall": "the budget metric, and the axis of the memory system: both are called so by those who use them",
    "Reference": "a figure from elsewhere, and the contract as a program: both are in the glossary",
    "Service": "anima as it is served, and the program that a scenario has started",
    "Session": "a connection of anima's, and one of a scenario's own SQL: each is called so by its users",
    "Run": "what is measured now, and a call to a lent database",
    "Search": "the axis of the memory system, and the search for a counterexample",
    "Statement": "anima's SQL with its name, and one that a test's call was seen to send",
    "Subject": "what a profiler observes, and one of the systems that are to agree",
    "Success": WIRE,
}
"""Of two classes with one name, why."""


def classes() -> dict[str, list[str]]:
    """Where each public class of both packages is defined."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in ("anima", "harness"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


def test_no_two_classes_have_one_name_without_a_reason() -> None:
    assert {name: paths for name, paths in classes().items() if len(paths) > 1 and name not in KNOWN} == {}


def test_every_reason_is_of_two_classes() -> None:
    found = classes()
    assert [name for name in KNOWN if len(found.get(name, ())) < 2] == []
