"""An operation that never succeeded has been timed at failing."""

from collections.abc import Iterator

from harness.judging.columns import Columns
from harness.quantities import number_of
from harness.record import RunRecord
from harness.samples import Traits


class FailedRequests:
    of_timings_only = False
    meaning = "Every request of an operation failed."

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            requests = Columns.of(variant.samples)
            answered = requests.answered.tally_by(_operation)
            for operation, total in requests.tally_by(_operation).items():
                if operation not in answered:
                    yield f"all of {number_of(total, f'{operation} request')} of {variant.name} failed"


def _operation(traits: Traits) -> str:
    return traits.operation
