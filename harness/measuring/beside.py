"""Files that a scenario names: their paths are relative to the scenario's own file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, cast

from pydantic import AfterValidator, ValidationInfo

DIRECTORY: Final = "directory"
"""In the context of a validation: where the scenario's file lies. Without it a path is as it was resolved before."""


def _beside(path: Path, info: ValidationInfo) -> Path:
    """From then on relative to the working directory, so that a worker and a run that goes on find it as well."""
    context = cast("Mapping[str, Path]", info.context or {})
    found = context.get(DIRECTORY, Path()) / path
    if not found.is_file():
        raise ValueError(f"there is no file {found}. Paths are relative to the scenario's own file")
    return found


FileBeside = Annotated[Path, AfterValidator(_beside)]


def _folder_beside(path: Path, info: ValidationInfo) -> Path:
    context = cast("Mapping[str, Path]", info.context or {})
    found = Path(os.path.normpath(context.get(DIRECTORY, Path()) / path))
    if not found.is_dir():
        raise ValueError(f"there is no folder {found}. Paths are relative to the scenario's own file")
    return found


FolderBeside = Annotated[Path, AfterValidator(_folder_beside)]
