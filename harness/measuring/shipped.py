"""The scenarios that come with the harness: where they lie, and what they are called."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path


def directory() -> Path:
    """Inside the installed package, or at the top of a checkout."""
    packaged = Path(str(resources.files("harness"))) / "_scenarios"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "scenarios"


def shipped() -> Mapping[str, Path]:
    """The scenarios that come with the harness, by name."""
    return {path.stem: path for path in sorted(directory().glob("*.toml"))}


def title_of(path: Path) -> str:
    """Without reading the rest, which a list has no need of."""
    return str(tomllib.loads(path.read_text("utf-8")).get("title", ""))
