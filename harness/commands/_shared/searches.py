"""Says of a search for a capacity that it is no run like others, where one of those is asked for."""

from harness.errors import UsageError
from harness.record import RunRecord


def refuse_search(record: RunRecord, wanted: str) -> None:
    """Raises `UsageError` where the record is of a search, whose requests were sent at many rates."""
    if record.capacity is not None:
        raise UsageError(
            f"{record.run_id} is a search for a capacity, which {wanted}. See it with `harness report "
            f"{record.run_id}`, and search again with `harness capacity`."
        )
