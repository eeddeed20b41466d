"""The locks pin everything that pyproject.toml asks for, with hashes, and say nothing about who made them."""

import os
import re
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
WHOLE = ROOT / "requirements.lock"
HISTORY = ROOT / "requirements/history.lock"
"""A resolution of its own: docs/decisions/0008-a-lock-of-its-own-for-otava.md."""
PEERS = ROOT / "requirements/peers.lock"
"""What is measured beside ours, which no other environment installs: docs/dependencies.md."""
TOX = ROOT / "requirements/tox.lock"
ENTRY = re.compile(r"^(\S+)==(\S+)(?: ; (.+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
COMMENT = re.compile(r"^ *#[^/@]*$|^ *# +(?:via )?-r pyproject\.toml$", re.MULTILINE)

Pin = tuple[str, str, Marker | None]


def pins(lock: Path) -> set[Pin]:
    """Name, version and marker of each entry; whatever is neither an entry nor a harmless comment is refused."""
    text = lock.read_text(encoding="utf-8")
    assert not COMMENT.sub("", ENTRY.sub("", text)).strip()
    return {
        (canonicalize_name(name.partition("[")[0]), version, Marker(marker) if marker else None)
        for name, version, marker, _ in ENTRY.findall(text)
    }


PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
APART = ("history", "peers")
EXTRAS = {name: extra for name, extra in PYPROJECT["project"]["optional-dependencies"].items() if name not in APART}
RUN_TIME = [Requirement(entry) for entry in PYPROJECT["project"]["dependencies"]]


def declared() -> Iterator[Requirement]:
    """At run time, by an extra or by a group."""
    yield from RUN_TIME
    groups = [*EXTRAS.values(), *PYPROJECT["dependency-groups"].values()]
    asked = (Requirement(entry) for group in groups for entry in group if isinstance(entry, str))
    yield from (each for each in asked if each.name != PYPROJECT["project"]["name"])  # An extra may contain others.


def locked(requirement: Requirement, lock: Path) -> bool:
    versions = [version for name, version, _ in pins(lock) if name == canonicalize_name(requirement.name)]
    return bool(versions) and all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_there_are_no_other_locks() -> None:
    assert {WHOLE, *(ROOT / "requirements").iterdir()} == {WHOLE, TOX, HISTORY, PEERS}


@pytest.mark.parametrize("lock", [WHOLE, HISTORY, PEERS, TOX], ids=lambda lock: lock.stem)
def test_a_lock_holds_only_pins_with_hashes(lock: Path) -> None:
    assert pins(lock)


def test_tox_comes_in_the_versions_of_the_whole() -> None:
    assert {pin[:2] for pin in pins(TOX)} <= {pin[:2] for pin in pins(WHOLE)}


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="an environment of one's own may hold more")
def test_what_is_installed_here_is_what_the_lock_names() -> None:
    """The lock constrains an environment, and a package that it does not name would be installed unseen."""
    versions = {(name, version) for name, version, _ in pins(WHOLE)}
    here = {(canonicalize_name(package.name), package.version) for package in distributions()}
    assert {(name, version) for name, version in here if name not in {"anima-harness", "pip", "setuptools"}} <= versions


@pytest.mark.parametrize("environment", ["testenv", "testenv:.pkg", "testenv:property"])
def test_environments_are_held_to_the_lock(environment: str) -> None:
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    settings = tox[environment]["set_env"].replace("{[testenv]set_env}", tox["testenv"]["set_env"])
    assert "UV_CONSTRAINT = {tox_root}/requirements.lock" in settings


@pytest.mark.parametrize("requirement", sorted(set(declared()), key=str), ids=str)
def test_a_declared_dependency_is_locked(requirement: Requirement) -> None:
    """Fails after an edit of pyproject.toml: `tox run -e lock` mends it."""
    assert locked(requirement, WHOLE)


def test_the_environment_of_the_history_has_otava_and_what_is_needed_at_run_time() -> None:
    wanted = [*RUN_TIME, *map(Requirement, PYPROJECT["project"]["optional-dependencies"]["history"])]
    assert [str(requirement) for requirement in wanted if not locked(requirement, HISTORY)] == []


def test_every_other_extra_is_in_the_common_lock() -> None:
    """The lock's command names the extras that `bench` does not contain, to leave one of them out."""
    (line,) = re.findall(
        r"^ +\{.+--output-file requirements\.lock.*$", (ROOT / "tox.ini").read_text("utf-8"), re.MULTILINE
    )
    named = re.findall(r"--extra (\S+)", line)
    (contained,) = [Requirement(entry).extras for entry in EXTRAS["bench"]]
    inner = {extra for name in contained for entry in EXTRAS[name] for extra in Requirement(entry).extras}
    assert sorted({*named, *contained, *(inner & EXTRAS.keys())}) == sorted(EXTRAS)
