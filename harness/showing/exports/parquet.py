"""Parquet for notebooks: types are kept, and a hundred thousand requests are a few megabytes."""

from collections.abc import Sequence
from pathlib import Path

from harness.record import RunRecord
from harness.showing.exports._shared.frame import requests_frame


class Parquet:
    def write(self, record: RunRecord, directory: Path) -> Sequence[Path]:
        path = directory / "requests.parquet"
        requests_frame(record).to_parquet(path, index=False)
        return [path]
