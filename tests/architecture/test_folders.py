"""In a folder of a seam a listing shows what an entry is: the registry names each file but `protocol.py`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEAMS = sorted(path.parent for path in (ROOT / "harness").rglob("protocol.py"))
NO_ENTRIES = {"protocol", "_shared", "__init__", "__pycache__"}


def registered(folder: Path) -> set[str]:
    """The modules beside the registry that it imports."""
    package = ".".join(folder.relative_to(ROOT).parts)
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {name.removeprefix(f"{package}.").split(".")[0] for name in imported if name.startswith(f"{package}.")}


def test_there_are_seams() -> None:
    assert {"arrivals", "budget_metrics", "exports", "probes", "provisioners", "renderers", "targets"} <= {
        seam.name for seam in SEAMS
    }


@pytest.mark.parametrize("folder", SEAMS, ids=lambda folder: folder.name)
def test_every_file_beside_a_protocol_is_an_entry(folder: Path) -> None:
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert modules - NO_ENTRIES == registered(folder) - NO_ENTRIES
