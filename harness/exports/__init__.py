"""What `harness report` can write for other programs: format to export."""

from collections.abc import Mapping
from typing import Final

from harness.exports.comma_separated import CommaSeparated
from harness.exports.parquet import Parquet
from harness.exports.pictures import Pictures
from harness.exports.protocol import Export

EXPORTS: Final[Mapping[str, Export]] = {
    "csv": CommaSeparated(),
    "parquet": Parquet(),
    "png": Pictures("png"),
    "svg": Pictures("svg"),
}
