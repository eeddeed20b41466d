"""What is said of a database that cannot be used: its own reason, and advice that fits it."""

import asyncpg
import pytest

from anima.connections import USUAL_ADVICE, unavailable

CANCELED = "canceling statement due to statement timeout"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (asyncpg.QueryCanceledError(CANCELED), "the statement_timeout of the role or the database"),
        (asyncpg.DiskFullError("could not extend file"), "Free some disk"),
        (OSError("Connect call failed"), USUAL_ADVICE),
    ],
)
def test_advice_fits_the_reason(error: Exception, advice: str) -> None:
    told = str(unavailable("localhost:5432/memories", error))
    assert told.startswith(f"PostgreSQL at localhost:5432/memories cannot be used ({error}).")
    assert advice in told
    assert (USUAL_ADVICE in told) == (advice == USUAL_ADVICE)
