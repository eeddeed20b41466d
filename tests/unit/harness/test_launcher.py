"""The command where the package behind it cannot be loaded: a sentence, and no exit code that speaks of budgets."""

import subprocess
import sys
from pathlib import Path

import pytest

import anima_harness_cli

ROOT = Path(anima_harness_cli.__file__).parent


def start(directory: Path, *arguments: str, command: str = "main") -> subprocess.CompletedProcess[str]:
    """As the script that an installation makes of the entry point, with the directory's modules found first."""
    return subprocess.run(
        [sys.executable, "-c", f"import anima_harness_cli; anima_harness_cli.{command}()", *arguments],
        env={"PYTHONPATH": f"{directory}:{ROOT}", "PATH": "", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("command", "name"), [("main", "harness"), ("anima", "anima")])
def test_a_package_of_the_same_name_is_named(command: str, name: str, tmp_path: Path) -> None:
    package = tmp_path / name
    package.mkdir()
    for content in ("", "raise SystemExit(1)"):
        (package / "__init__.py").write_text(content, encoding="utf-8")
        refused = start(tmp_path, "--version", command=command)
        assert (refused.returncode, refused.stdout) == (2, ""), content
        assert refused.stderr.startswith(f"{name}: The package `{name}` in {package} hides the one of this command.")
        assert refused.stderr.count("\n") == 1


def test_a_module_that_anima_cannot_import_is_told_as_well(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("", encoding="utf-8")
    refused = start(tmp_path, "serve", command="anima")
    assert refused.returncode == 2
    assert refused.stderr.startswith("anima: It cannot be loaded (AttributeError: module 'click' has no attribute")
    assert "`anima --debug` shows where" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("module", "content", "reason"),
    [
        ("click", "", "AttributeError: module 'click' has no attribute"),
        ("click", "raise ImportError('libffi.so.8 is missing')", "ImportError: libffi.so.8 is missing"),
        ("click", "def", "SyntaxError: invalid syntax"),
        ("click", "raise SystemExit(1)", "SystemExit: 1"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told(tmp_path: Path, module: str, content: str, reason: str) -> None:
    (tmp_path / f"{module}.py").write_text(content, encoding="utf-8")
    refused = start(tmp_path, "--version")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"harness: It cannot be loaded ({reason}")
    assert "install anima-harness again" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "Traceback" in start(tmp_path, "--debug").stderr


def test_being_interrupted_while_it_loads_is_an_interruption(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    interrupted = start(tmp_path, "--version")
    assert (interrupted.returncode, interrupted.stderr) == (130, "")


def test_it_is_the_command_itself_otherwise(tmp_path: Path) -> None:
    assert "harness, version" in start(tmp_path, "--version").stdout
    assert "anima, version" in start(tmp_path, "--version", command="anima").stdout
    module = subprocess.run(
        [sys.executable, "-m", "harness", "rnu"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert module.returncode == 2
    assert "Did you mean 'run'?" in module.stderr
