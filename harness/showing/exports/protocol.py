"""The seam between a stored run and files for other programs: spreadsheets, notebooks, slides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from harness.showing.report import AnyReport


class Export(Protocol):
    """Writes files of one format into a directory that is there. Pure but for that."""

    def write(self, report: AnyReport, directory: Path) -> Sequence[Path]:
        """The files, in the order to name them. Raises `OSError`."""
        ...
