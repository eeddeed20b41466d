"""A plain install judges; whatever needs more names its extra in a sentence, and does the rest without it."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.errors import BROUGHT_BY, missing_extra

ROOT = Path(__file__).parents[3]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

BLOCKED = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
from {package} import main
main()
"""


def run_without(modules: set[str], program: str, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """One of our programs, where these packages are not installed."""
    package = {"harness": "harness.cli", "anima": "anima.__main__"}[program]
    return subprocess.run(
        [sys.executable, "-c", BLOCKED.format(package=package), ",".join(sorted(modules)), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def sentence(program: str, module: str, extra: str) -> str:
    names = {"harness": f"{module}, of the extra `{extra}`,", "anima": f"{module},"}
    return (
        f"{program}: This needs {names[program]} which is not installed: "
        f"pip install 'anima-harness[{extra}] @ git+https://github.com/OWNER/anima-harness' (OWNER as you know it)."
    )


def of_extra(*names: str) -> set[str]:
    return {module for module, extra in BROUGHT_BY.items() if extra in names}


def brought(requirement: Requirement, seen: set[str]) -> Iterator[str]:
    """What it installs here, itself included."""
    name = canonicalize_name(requirement.name)
    if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
        return
    seen.add(name)
    yield name
    for each in map(Requirement, requires(name) or ()):
        yield from brought(each, seen)


def test_the_plugin_of_pytest_brings_fewer_than_twenty_packages() -> None:
    seen = set[str]()
    asked = map(Requirement, [*PROJECT["dependencies"], *EXTRAS["pytest"]])
    assert len([name for each in asked for name in brought(each, seen)]) < 20


@pytest.fixture(scope="module")
def installed() -> Mapping[str, list[str]]:
    """The distributions that bring each module that can be imported here."""
    return packages_distributions()


@pytest.mark.parametrize("module", sorted(BROUGHT_BY))
def test_a_module_is_of_the_extra_that_a_sentence_would_name(installed: Mapping[str, list[str]], module: str) -> None:
    distributions = installed.get(module)
    if distributions is None:
        pytest.skip(f"{module} is not installed here")
    named = {canonicalize_name(Requirement(entry).name) for entry in EXTRAS[BROUGHT_BY[module]]}
    assert {canonicalize_name(each) for each in distributions} & (named | {"opentelemetry-semantic-conventions"})


OF_BENCHMARKS = {"peers"}
"""Imported by no package of ours, and so asked for by no sentence."""


def test_every_extra_that_brings_more_than_others_do_is_named_by_a_module() -> None:
    own = {
        name for name, entries in EXTRAS.items() if any(Requirement(each).name != PROJECT["name"] for each in entries)
    }
    assert own - OF_BENCHMARKS == set(BROUGHT_BY.values())


def test_a_module_of_our_own_that_is_missing_is_no_extra() -> None:
    assert missing_extra(ModuleNotFoundError("no module", name="harness.mislaid")) is None
    assert missing_extra(ModuleNotFoundError("no module", name="redis.mislaid")) is not None


@pytest.mark.parametrize("command", ["list", "schema", "doctor"])
def test_what_measures_nothing_works_from_a_plain_install(command: str, tmp_path: Path) -> None:
    without = run_without(set(BROUGHT_BY), "harness", command, cwd=tmp_path)
    assert "Traceback" not in without.stderr
    assert without.returncode == (2 if command == "doctor" else 0), without.stderr


def test_the_doctor_says_what_brings_the_embedded_server(tmp_path: Path) -> None:
    told = run_without(set(BROUGHT_BY), "harness", "doctor", cwd=tmp_path).stdout
    assert "pip install 'anima-harness[postgres] @ git+" in " ".join(told.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "command", "module"),
    [
        ("anima", ["run", "smoke"], "pgqueuer"),
        ("postgres", ["run", "smoke"], "stamina"),
        ("postgres", ["clean"], "stamina"),
        ("verify", ["verify"], "hypothesis"),
        ("report", ["report", "reference", "--format", "html"], "markupsafe"),
        ("report", ["report", "reference", "--format", "png"], "markupsafe"),
        ("export", ["report", "reference", "--format", "parquet"], "pyarrow"),
        ("export", ["report", "reference", "--format", "csv"], "pandas"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
def test_a_command_names_the_extra_that_it_lacks(extra: str, command: list[str], module: str, tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    record = (ROOT / "reports/reference/record.json").read_bytes()
    (tmp_path / "reference/record.json").write_bytes(record)
    lacking = run_without(of_extra(extra), "harness", *command, cwd=tmp_path)
    assert lacking.returncode == 2
    assert lacking.stderr.splitlines()[-1] == sentence("harness", module, extra)


def test_the_service_names_its_extra(tmp_path: Path) -> None:
    lacking = run_without(set(BROUGHT_BY), "anima", "serve", cwd=tmp_path)
    assert lacking.returncode == 2
    assert re.fullmatch(
        re.escape(sentence("anima", "MODULE", "serve")).replace("MODULE", r"\w+"), lacking.stderr.strip()
    )
    assert run_without(set(BROUGHT_BY), "anima", "--help", cwd=tmp_path).returncode == 0
