"""The import contracts of pyproject.toml are kept, and a violation of each is found."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
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
    Violation("one-door-to-anima", "harness/measuring/targets/null.py", "import anima.model"),
    Violation("anima-layers", "anima/utils.py", "ANSWER = 42"),
    Violation("anima-layers", "anima/errors.py", "import anima.model"),
    Violation("anima-seams", "anima/searches/exact.py", "import anima.searches.hnsw"),
    Violation("anima-seams", "anima/searches/exact.py", "import anima.searches"),
    Violation("anima-assembly", "anima/memory.py", "import anima.searches.exact"),
    Violation("anima-assembly", "anima/memory.py", "import anima.searches"),
    Violation("harness-layers", "harness/utils.py", "ANSWER = 42"),
    Violation("harness-layers", "harness/record.py", "import harness.journal"),
    Violation("harness-layers", "harness/measuring/execution.py", "import harness.showing.waterfall"),
    Violation("harness-layers", "harness/measuring/recording.py", "import harness.commands.verify"),
    Violation("harness-layers", "harness/showing/tables.py", "import harness.measuring.plans"),
    Violation(
        "harness-layers", "harness/showing/exports/_shared/frame.py", "import harness.measuring.servers.provisioners"
    ),
    Violation("harness-layers", "harness/judging/verdict.py", "import harness.showing.summary"),
    Violation("measuring-apart", "harness/measuring/execution.py", "import harness.judging.verdict"),
    Violation("measuring-apart", "harness/measuring/passes.py", "import harness.judging.analysis.quantiles"),
    Violation("measuring-apart", "harness/judging/comparison.py", "import harness.measuring.clock"),
    Violation("pure", "harness/judging/verdict.py", "import asyncpg"),
    Violation("pure", "harness/judging/evaluation.py", "import time"),
    Violation("pure", "harness/showing/exports/_shared/frame.py", "import asyncpg"),
    Violation("pure", "harness/showing/exports/_shared/frame.py", "import harness.journal"),
    Violation("pure", "harness/showing/renderers/markdown.py", "import harness.runs"),
    Violation("analysis-alone", "harness/judging/analysis/means.py", "import harness.errors"),
    Violation("targets", "harness/measuring/targets/null.py", "import harness.measuring.targets.planted"),
    Violation(
        "budget-metrics", "harness/judging/budget_metrics/errors.py", "import harness.judging.budget_metrics.recall"
    ),
    Violation("renderers", "harness/showing/renderers/markdown.py", "import harness.showing.renderers.json"),
    Violation("no-cycles", "anima/errors.py", "import anima.model"),
    Violation("no-cycles", "harness/measuring/clock.py", "import harness.measuring.turns, harness.measuring.passes"),
]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkout")
    for package in ("anima", "harness"):
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


@pytest.fixture
def checkout(copied: Path) -> Iterator[Path]:
    """A copy in which violations can be planted; it is as before when the test has ended."""
    yield copied
    for path in dict.fromkeys(violation.module for violation in VIOLATIONS):
        (copied / path).unlink(missing_ok=True)
        if (ROOT / path).exists():
            shutil.copy(ROOT / path, copied / path)


def lint_imports(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo", *options]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_the_contracts_are_kept(checkout: Path) -> None:
    result = lint_imports(checkout)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("contract", dict.fromkeys(violation.contract for violation in VIOLATIONS))
def test_violations_are_found(contract: str, checkout: Path) -> None:
    violations = [violation for violation in VIOLATIONS if violation.contract == contract]
    for violation in violations:
        with (checkout / violation.module).open("a", encoding="utf-8") as module:
            module.write(f"\n{violation.source}\n")
    result = lint_imports(checkout, "--contract", contract)
    assert result.returncode == 1
    assert "1 broken" in result.stdout
    told = "".join(result.stdout.split())  # Lines are broken to the width of the terminal.
    for violation in violations:
        name = violation.module.removesuffix(".py").replace("/", ".")
        imported = violation.source.removeprefix("import ").split(",")[0]
        if contract == "no-cycles":
            assert f"in{name.rpartition('.')[0]}.Itcould" in told, violation
        elif violation.source.startswith("import "):
            assert f"{name}->{imported}(" in told, violation
        else:
            assert f"-{name}" in told, violation
