"""`harness try` on a real server: one statement, how long it takes, its plan, and what is refused."""

from urllib.parse import urlsplit

import click.testing
import pytest

from harness.command_line import try_
from harness.errors import ProvisioningError, UsageError
from harness.measuring.servers.provisioners.protocol import Server


def tried(url: str, statement: str) -> str:
    done = click.testing.CliRunner().invoke(
        try_, [statement, "--database", url, "--requests", "20"], catch_exceptions=False, standalone_mode=False
    )
    return done.output


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Without its password, which a command line may not show."""
    whole = urlsplit(server.admin_url)
    monkeypatch.setenv("PGPASSWORD", whole.password or "")
    return server.admin_url.replace(f":{whole.password}@", "@")


def test_a_statement_is_timed_and_its_plan_is_shown(url: str) -> None:
    told = tried(url, "SELECT relname FROM pg_class WHERE oid = 1259")
    assert "20 executions by one user, 1 row each" in told
    assert "p50" in told
    assert "The plan uses pg_class_oid_index" in told


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT FORM x y", 'syntax error at or near "y"'),
        ("SELECT $1", "1: a placeholder has no value here"),
        ("CREATE TABLE t ()", "read-only transaction"),
        ("SELECT 1 / 0", "division by zero"),
    ],
)
def test_what_cannot_be_executed_is_told(url: str, statement: str, message: str) -> None:
    with pytest.raises((UsageError, ExceptionGroup)) as refused:
        tried(url, statement)
    error: BaseException = refused.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UsageError)
    assert message in str(error)


def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises((ProvisioningError, ExceptionGroup)):
        tried("postgresql://me@127.0.0.1:1/none", "SELECT 1")
