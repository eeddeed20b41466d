"""Says how accesses are recorded: the registry of the axis."""

from collections.abc import Mapping
from typing import Final

from anima.access_records.apart import ApartAccessRecords
from anima.access_records.batched import BatchedAccessRecords
from anima.access_records.per_memory import PerMemoryAccessRecords
from anima.access_records.protocol import AccessRecords
from anima.strategy import AccessRecordName

ACCESS_RECORDS: Final[Mapping[AccessRecordName, AccessRecords]] = {
    "per_memory": PerMemoryAccessRecords(),
    "batched": BatchedAccessRecords(),
    "apart": ApartAccessRecords(),
}
