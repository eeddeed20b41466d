import asyncpg

from harness.measuring.servers.provisioners._shared.databases import refusal


def test_a_limit_of_time_that_the_owner_has_set_is_told_as_that() -> None:
    error = asyncpg.QueryCanceledError("canceling statement due to statement timeout")
    told = refusal("postgresql://me@db.example/shop", error)
    assert "refused: canceling statement due to statement timeout. Raise statement_timeout of the role" in told
