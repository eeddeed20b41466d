"""Says what `harness report` can write for other programs: format to export."""

from collections.abc import Mapping
from typing import Final

from harness.showing.exports.comma_separated import CommaSeparated
from harness.showing.exports.parquet import Parquet
from harness.showing.exports.pictures import Pictures
from harness.showing.exports.protocol import Export

EXPORTS: Final[Mapping[str, Export]] = {
    "csv": CommaSeparated(),
    "parquet": Parquet(),
    "png": Pictures("png"),
    "svg": Pictures("svg"),
}
