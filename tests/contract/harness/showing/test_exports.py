"""Every export: its files hold what the record holds, and nothing in a text becomes more than text."""

import csv
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from harness.record import RunRecord
from harness.showing.exports import EXPORTS
from harness.showing.report import Report
from tests.records import HOSTILE, guide_record, record, samples, variant


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name == "png")) for name in EXPORTS])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def hostile() -> RunRecord:
    formula = "=HYPERLINK(1)"
    told: dict[str, Any] = {"elapsed_s": {"@sum": 0.1}, "calls": {"@sum": 1}}
    return record(variant(HOSTILE, samples([0.1], error=formula, **told)), variant("+a", samples([0.1, 0.2], **told)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sequence[Path]]:
    """What each form writes of the guide's run, once for all tests."""
    return cache(lambda form: EXPORTS[form].write(Report.of(guide_record()), tmp_path_factory.mktemp(form)))


def test_files_are_written_and_named(form: str, written: Callable[[str], Sequence[Path]]) -> None:
    paths = written(form)
    assert sorted(paths) == sorted(paths[0].parent.iterdir())
    assert {path.suffix for path in paths} == {f".{form}"}
    assert all(path.stat().st_size for path in paths)


def test_hostile_names_are_survived(form: str, tmp_path: Path) -> None:
    assert EXPORTS[form].write(Report.of(hostile()), tmp_path)


def test_a_table_has_a_row_per_request(tmp_path: Path) -> None:
    run = guide_record()
    (path,) = EXPORTS["parquet"].write(Report.of(run), tmp_path)
    frame = pd.read_parquet(path)
    assert len(frame) == sum(len(each.samples) for each in run.variants)
    naive = next(each for each in run.variants if each.name == "naive")
    chosen = frame[frame["variant"] == "naive"]
    assert chosen["service_time_s"].tolist() == [each.service_time_s for each in naive.samples]


def test_no_cell_of_a_spreadsheet_begins_a_formula(tmp_path: Path) -> None:
    (path,) = EXPORTS["csv"].write(Report.of(hostile()), tmp_path)
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert "'+a" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]


@pytest.mark.slow
def test_a_picture_stands_by_itself(written: Callable[[str], Sequence[Path]]) -> None:
    for path in written("svg"):
        drawing = path.read_text(encoding="utf-8")
        assert "var(" not in drawing
        ET.fromstring(drawing)
    for path in written("png"):
        assert path.read_bytes().startswith(b"\x89PNG")
