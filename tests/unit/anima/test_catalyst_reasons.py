"""What speaks for a catalyst, at the limits of the contract."""

from collections.abc import Callable

import pytest

from anima.catalysts import content_markers, reasons
from anima.model import CATALYST_MARKERS


@pytest.mark.parametrize("marker", CATALYST_MARKERS)
@pytest.mark.parametrize("written", [str.lower, str.upper, str.title])
def test_a_marker_is_found_in_any_case_and_anywhere(marker: str, written: Callable[[str], str]) -> None:
    assert content_markers(f"so: {written(marker)}!") == [marker]


def test_every_marker_in_a_content_is_named() -> None:
    assert content_markers("Eureka: a profound insight") == ["insight", "profound", "eureka"]


@pytest.mark.parametrize("content", ["", "an ordinary day", "changed nearly everything", "a shift"])
def test_other_contents_have_no_marker(content: str) -> None:
    assert content_markers(content) == []


@pytest.mark.parametrize(
    ("accesses", "associations", "found"),
    [
        (2, 4, []),
        (3, 4, ["3 accesses in 10 minutes"]),
        (2, 5, ["5 associations"]),
        (7, 9, ["7 accesses in 10 minutes", "9 associations"]),
    ],
)
def test_three_accesses_or_five_associations_are_reasons(accesses: int, associations: int, found: list[str]) -> None:
    assert reasons("an ordinary day", accesses, associations) == found


def test_reasons_add_up() -> None:
    assert reasons("a breakthrough", 3, 5) == [
        "3 accesses in 10 minutes",
        "5 associations",
        "content says 'breakthrough'",
    ]
