"""What the documents point at exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


FOLLOWED = sorted(
    set(
        re.findall(r"`((?:anima|harness)/\S+\.py): (\w+)`", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"))
    )
)


@pytest.mark.parametrize(("file", "name"), FOLLOWED)
def test_what_a_run_and_a_request_pass_through_is_there(file: str, name: str) -> None:
    assert re.search(rf"^ *(?:(?:async )?def|class) {name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_architecture_is_one_page() -> None:
    assert len((ROOT / "docs/architecture.md").read_text(encoding="utf-8").splitlines()) <= 110
