"""One meaning per name: what another module names alike says why, or is called something else."""

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WIRE = "the service's answer, and what its client reads of it: neither side may import the other"
KNOWN = {
    "Data": WIRE,
    "Distribution": WIRE,
    "ErrorBody": WIRE,
    "Failure": WIRE,
    "Meta": WIRE,
    "Metrics": WIRE,
    "Reference": "a figure from elsewhere, and the contract as a program: both are in the glossary",
    "Success": WIRE,
}
"""Of two types with one name, why."""

TOO_GENERAL = {"KINDS", "LEVELS", "load", "show", "told"}
"""What does not say of what it is: a module that needs such a name writes of what behind or before it."""


def sources() -> Iterator[tuple[str, str]]:
    for package in ("anima", "harness"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def defined(source: str) -> Iterator[str]:
    """What a module defines at its top level and shows to others."""
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if not name.startswith("_"))


def types() -> dict[str, list[str]]:
    """Where each public class, alias and type variable of both packages is defined."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, source in sources():
        for name in defined(source):
            if len(name) > 1 and name[0].isupper() and not name.isupper() and "_" not in name:
                found[name].append(path)
    return found


def test_no_two_types_have_one_name_without_a_reason() -> None:
    assert {name: paths for name, paths in types().items() if len(paths) > 1 and name not in KNOWN} == {}


def test_every_reason_is_of_two_types() -> None:
    found = types()
    assert [name for name in KNOWN if len(found.get(name, ())) < 2] == []


def test_what_a_module_shows_to_others_says_of_what_it_is() -> None:
    assert [(path, name) for path, source in sources() for name in defined(source) if name in TOO_GENERAL] == []


def test_nothing_is_named_told() -> None:
    """It has been six things: options, a sentence, a flag, a row, a body and a message that was received."""
    names = [
        (path, token.start[0])
        for path, source in sources()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NAME and token.string.strip("_").lower() == "told"
    ]
    assert names == []


def near(one: str, other: str) -> bool:
    """Whether a letter more, or another letter, makes one of the other: `worker` and `workers`."""
    short, long = sorted((one, other), key=len)
    same = next((place for place, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[same:] == long[same + 1 :] or (len(short) == len(long) and short[same + 1 :] == long[same + 1 :])


def folders() -> Mapping[Path, tuple[set[str], set[str]]]:
    """Of each folder the names of its modules, and those of the classes in them."""
    found: dict[Path, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for path, source in sources():
        modules, classes = found[Path(path).parent]
        modules.add(Path(path).stem)
        classes |= {node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    return found


def test_no_two_modules_of_a_folder_are_one_letter_apart() -> None:
    pairs = ((folder, *pair) for folder, (names, _) in folders().items() for pair in combinations(sorted(names), 2))
    assert [pair for pair in pairs if near(*pair[1:])] == []


def test_no_class_of_a_folder_is_the_plural_of_another() -> None:
    assert [(folder, name) for folder, (_, names) in folders().items() for name in names if f"{name}s" in names] == []


@pytest.mark.parametrize(
    ("one", "other", "are_near"),
    [
        ("worker", "workers", True),
        ("comparing", "comparison", False),
        ("frame", "flame", True),
        ("sides", "tides", True),
        ("run", "runner", False),
    ],
)
def test_names_are_near_by_one_letter(one: str, other: str, are_near: bool) -> None:
    assert near(one, other) is are_near
    assert near(other, one) is are_near
