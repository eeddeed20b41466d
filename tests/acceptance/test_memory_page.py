"""docs/how-to/memory.md, followed: a planted leak of a kilobyte for each request, and the same class without it."""

import re
from pathlib import Path

import pytest

from tests.acceptance.conftest import Program

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "memory.md").read_text(encoding="utf-8")
BLOCKS: dict[str, str] = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
[PRINTED] = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
LEAK = "        self.seen.append(bytes(1_000))\n"

pytestmark = pytest.mark.slow


def masked(text: str) -> str:
    return re.sub(r"[\d,.]+(?= > 100| B | times)", "some", text)


def test_the_leak_of_the_page_is_found_as_it_shows(tmp_path: Path, harness: Program) -> None:
    for name, text in BLOCKS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = harness("run", "search.toml")
    assert found.returncode == 1, found.stdout + found.stderr
    printed = {" ".join(masked(line).split()) for line in found.stdout.splitlines()}
    assert {" ".join(masked(line).split()) for line in PRINTED.splitlines() if line != "…"} <= printed, found.stdout


@pytest.mark.nightly
def test_without_the_leak_nothing_is_found(tmp_path: Path, harness: Program) -> None:
    for name, text in BLOCKS.items():
        assert name != "search.py" or LEAK in text
        (tmp_path / name).write_text(text.replace(LEAK, ""), encoding="utf-8")
    found = harness("run", "search.toml")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Memory that grows" not in found.stdout
