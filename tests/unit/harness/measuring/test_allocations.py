"""What requests allocate is counted where memray is installed, and said not to be where it is not."""

from itertools import repeat
from pathlib import Path

import pytest

from harness.judging.profile_differences import between, side
from harness.measuring import allocations
from harness.measuring.allocations import SUFFIX, allocated
from harness.record import ProfileRecord
from harness.showing.profile_tables import allocations_table
from tests.records import record, variant

REQUESTS = 5
EACH = 2_000


async def ask() -> int:
    """Each request makes some thousand objects, and none to count them by."""
    for _ in range(REQUESTS):
        kept = [bytes(size) for size in repeat(100, EACH)]
        kept.clear()
    return REQUESTS


async def test_allocations_are_counted_for_each_request_and_left_for_other_tools(tmp_path: Path) -> None:
    pytest.importorskip("memray")
    (tmp_path / f"find-1{SUFFIX}").write_text("of an earlier run", encoding="utf-8")
    counted = await allocated(tmp_path / "find-1", ask)
    assert counted == pytest.approx(EACH, rel=0.1)
    assert (tmp_path / f"find-1{SUFFIX}").stat().st_size > 100


async def test_without_memray_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocations, "MODULE", "memray_that_is_not_installed")
    assert allocations.found_memray() is None
    assert await allocated(tmp_path / "find-1", ask) is None
    assert not (tmp_path / f"find-1{SUFFIX}").exists()


def profiled(name: str, round_number: int, counted: float | None) -> ProfileRecord:
    return ProfileRecord(
        variant=name, operation="find", round=round_number, requests=5, profiled_s=1, plain_s=1, allocations=counted
    )


def test_the_round_with_fewest_is_shown_beside_the_other_side() -> None:
    profiles = (profiled("a", 1, 1_200), profiled("a", 2, 1_000), profiled("b", 1, None), profiled("b", 2, 20.0))
    run = record(variant("a"), variant("b"), profiles=profiles)
    table = allocations_table(between(side(run, "a"), side(run, "b")))
    assert table is not None
    assert [cell.text for cell in table.rows[0]] == ["find", "1,000", "20"]
    uncounted = record(variant("a"), profiles=(profiled("a", 1, None),))
    assert allocations_table(between(side(uncounted, "a"), side(uncounted, "a"))) is None
