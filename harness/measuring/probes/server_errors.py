"""Says how many statements the server refused or broke off, as its log says: what a target does not tell may be in it.

What another session caused, after which a transaction is begun again, is no such failure.
"""

from collections.abc import Mapping

from harness.measuring.probes.protocol import CountedSpan, Observable


class ServerErrors:
    span: CountedSpan = "whole"
    is_level: bool = False
    counters: Mapping[str, str] = {"failed_statements": "statements that failed, whoever was told it"}

    async def read(self, observable: Observable) -> Mapping[str, float]:
        return {"failed_statements": float(await observable.failures())}
