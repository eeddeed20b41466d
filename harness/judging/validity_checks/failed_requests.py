"""An operation that never succeeded has been timed at failing."""

from collections import Counter
from collections.abc import Iterator

from harness.quantities import number_of
from harness.record import RunRecord


class FailedRequests:
    of_timings_only = False
    meaning = "Every request of an operation failed."

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            requests = Counter(sample.operation for sample in variant.samples)
            answered = Counter(sample.operation for sample in variant.samples if sample.error is None)
            for operation, total in requests.items():
                if not answered[operation]:
                    yield f"all of {number_of(total, f'{operation} request')} of {variant.name} failed"
