"""Says what passes between the target and its database, as the proxy that adds the delay counts it: whoever sends it.

Not for who asks a database without a delay: nothing lies in between.
"""

from collections.abc import Mapping

from harness.errors import ProvisioningError
from harness.measuring.probes.protocol import CountedSpan, NotObserved, Observable


class DatabaseTraffic:
    span: CountedSpan = "whole"
    is_level: bool = False
    counters: Mapping[str, str] = {
        "database_round_trips": "waits of all sessions for the database's data",
        "database_received_bytes": "bytes that the database sent",
    }

    async def read(self, observable: Observable) -> Mapping[str, float]:
        try:
            passed = await observable.traffic()
        except ProvisioningError as error:
            raise NotObserved(str(error)) from error
        return {
            "database_round_trips": float(passed.round_trips),
            "database_received_bytes": float(passed.bytes_to_client),
        }
