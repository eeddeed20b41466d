"""The import contracts of pyproject.toml are kept, and a violation of each is found."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Violation:
    """Source text that, at the end of a module, breaks the contract with this id."""

    contract: str
    module: str
    source: str


VIOLATIONS = [
    Violation("anima-alone", "anima/errors.py", "import harness.errors"),
    Violation("one-door-to-anima", "harness/record.py", "import anima.model"),
    Violation("anima-layers", "anima/utils.py", "ANSWER = 42"),
    Violation("anima-layers", "anima/errors.py", "import anima.model"),
    Violation("anima-seams", "anima/searches/exact.py", "import anima.searches.hnsw"),
    Violation("anima-seams", "anima/searches/exact.py", "import anima.searches"),
    Violation("anima-assembly", "anima/memory.py", "import anima.searches.exact"),
    Violation("anima-assembly", "anima/memory.py", "import anima.searches"),
    Violation("harness-layers", "harness/utils.py", "ANSWER = 42"),
    Violation("harness-layers", "harness/analysis/means.py", "import harness.errors"),
    Violation("measuring-apart", "harness/execution.py", "import harness.verdict"),
    Violation("measuring-apart", "harness/scenario.py", "import harness.budgets"),
    Violation("judging-apart", "harness/verdict.py", "import asyncpg"),
    Violation("judging-apart", "harness/renderers/markdown.py", "import harness.journal"),
    Violation("harness-measuring-seams", "harness/targets/null.py", "import harness.targets.anima"),
    Violation("budget-metrics", "harness/budget_metrics/errors.py", "import harness.budget_metrics.hit_rate"),
    Violation("renderers", "harness/renderers/markdown.py", "import harness.renderers.json"),
    Violation("no-cycles", "anima/errors.py", "import anima.model"),
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for package in ("anima", "harness"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo", *options]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_the_contracts_are_kept(checkout: Path) -> None:
    result = lint_imports(checkout)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda v: f"{v.contract}-{v.module}-{v.source}")
def test_a_violation_is_found(violation: Violation, checkout: Path) -> None:
    with (checkout / violation.module).open("a", encoding="utf-8") as module:
        module.write(f"\n{violation.source}\n")
    result = lint_imports(checkout, "--contract", violation.contract)
    assert result.returncode == 1
    assert "1 broken" in result.stdout
