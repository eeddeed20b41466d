"""CSV for spreadsheets. They take a text that begins like a formula for one, so such a text gets an apostrophe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.showing.exports._shared.frame import requests_frame
from harness.showing.report import AnyReport

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class CommaSeparated:
    def write(self, report: AnyReport, directory: Path) -> Sequence[Path]:
        path = directory / "requests.csv"
        frame = requests_frame(report.record).rename(columns=harmless)
        frame.map(harmless).to_csv(path, index=False)
        return [path]


def harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
