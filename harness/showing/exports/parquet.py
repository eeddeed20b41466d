"""Parquet for notebooks: types are kept, and a hundred thousand requests are a few megabytes."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from harness.showing.exports._shared.frame import requests_frame
from harness.showing.report import AnyReport


class Parquet:
    def write(self, report: AnyReport, directory: Path) -> Sequence[Path]:
        path = directory / "requests.parquet"
        import_module("pyarrow")  # pandas would tell of its absence in words of its own.
        requests_frame(report.record).to_parquet(path, index=False)
        return [path]
