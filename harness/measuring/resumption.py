"""Going on with a run that did not come to its end: whether its parts would be alike."""

from collections.abc import Mapping

from harness.differences import differences
from harness.errors import UsageError
from harness.measuring.scenario import Scenario
from harness.measuring.scenario_files import stored
from harness.record import RunRecord


def continued(record: RunRecord, named: Scenario | None, database: str | None) -> Scenario:
    """Says what the run goes on with: its own scenario, which one that is named has to be.

    Raises `UsageError` when the run came to its end, or the two differ.
    """
    if record.state == "complete":
        raise UsageError(f"{record.run_id} came to its end. See it with `harness report {record.run_id}`.")
    chosen = named or stored(record.run_id, record.scenario, database)
    refuse_unlike(
        record,
        {"scenario": record.scenario, "corpus": record.corpus},
        {"scenario": chosen.model_dump(mode="json"), "corpus": dict(chosen.contents())},
    )
    return chosen


def refuse_unlike(record: RunRecord, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Parts of one run have to be alike. Raises `UsageError` with what differs."""
    unlike = [f"\n  {place}: {first}, now {second}" for place, first, second in differences(before, now)]
    if unlike:
        raise UsageError(
            f"{record.run_id} cannot go on here, since its parts would not be alike:{''.join(unlike)}\n"
            "Go on with what it began with, or make a new run. `harness report` shows what it has."
        )
