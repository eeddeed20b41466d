"""URLs: what they may say, and what is added to them from the environment and the password file."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring.servers.addresses import (
    FROM_ENVIRONMENT,
    address,
    completed,
    endpoints,
    redacted,
    refuse_password,
    with_database,
)


@pytest.fixture(autouse=True)
def passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A password file of the test's own, and no password or user in the environment."""
    for variable in ("PGPASSWORD", "PGUSER", *FROM_ENVIRONMENT.values()):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
    return tmp_path / "passwords"


@pytest.mark.parametrize("url", ["postgresql://u:secret@h/d", "postgres://u@h/d?password=secret"])
def test_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="PGPASSWORD") as refused:
        refuse_password(url)
    assert "secret" not in str(refused.value)


def test_a_url_without_a_password_is_not_refused() -> None:
    refuse_password("postgresql://u@h/d?sslmode=require")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("postgresql://u@h/d", "postgresql://…"),
        ("postgres://u:p@h", "postgres://…"),
        ("--database=postgresql://u@h/d", "--database=postgresql://…"),
        ("database.url=postgres://u@h", "database.url=postgres://…"),
        ("smoke", "smoke"),
        ("", ""),
    ],
)
def test_a_url_is_redacted_and_nothing_else(said: str, shown: str) -> None:
    assert redacted(said) == shown


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u:p@h:1/d"),
        ("postgresql://u@h", "postgresql://u@h:5432/postgres"),
        ("postgres://u%20v:p%2Fw@h/d%2Fe?sslmode=require", "postgres://u%20v:p%2Fw@h:5432/d%2Fe?sslmode=require"),
        ("postgresql://u@[::1]:7/d", "postgresql://u@[::1]:7/d"),
    ],
)
def test_a_url_gets_a_port_and_a_database_and_keeps_the_rest(url: str, whole: str) -> None:
    assert completed(url) == whole


def test_user_and_password_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", "somebody")
    monkeypatch.setenv("PGPASSWORD", "a b/c")
    assert completed("postgresql://h/d") == "postgresql://somebody:a%20b%2Fc@h:5432/d"


@pytest.mark.parametrize(
    ("lines", "password"),
    [
        ("h:5432:d:u:right", "right"),
        ("*:*:*:*:right", "right"),
        ("other:5432:d:u:wrong\nh:5432:d:other:wrong\nh:*:*:u:right\n*:*:*:*:late", "right"),
        ("#h:5432:d:u:wrong\nh:5432:d:u:right", "right"),
        (r"h:5432:d:u:with\:colon and\\backslash", "with%3Acolon%20and%5Cbackslash"),
        ("h:5432:d\n\nh:5432:d:u:right", "right"),
    ],
)
def test_the_first_line_of_the_password_file_that_matches_counts(passwords: Path, lines: str, password: str) -> None:
    passwords.write_text(lines, encoding="utf-8")
    assert completed("postgresql://u@h/d") == f"postgresql://u:{password}@h:5432/d"


def test_a_line_for_another_connection_gives_no_password(passwords: Path) -> None:
    passwords.write_text("h:5433:d:u:wrong\n", encoding="utf-8")
    assert completed("postgresql://u@h/d") == "postgresql://u@h:5432/d"


@pytest.mark.parametrize("url", ["mysql://h/d", "postgresql:///d", "h:5432"])
def test_what_names_no_server_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match="postgresql://user@host:5432/database"):
        completed(url)


@pytest.mark.parametrize("character", ["/", "#", "?", "[", "]/", "/@", "?@", "#@", "@/", ":/"])
@pytest.mark.parametrize("password", ["Gx7{}tPq9", "{}tPq9", "12{}34", "Gx7{}"])
def test_no_part_of_a_password_that_cannot_be_read_is_repeated(password: str, character: str) -> None:
    secret = password.format(character)
    url = f"postgresql://bob:{secret}@127.0.0.1:5432/a1"
    for refuse, kind in ((completed, UsageError), (refuse_password, ValueError)):
        with pytest.raises(kind, match=r"cannot be read.*%2F.*PGPASSWORD") as refused:
            refuse(url)
        assert not any(part in str(refused.value) for part in ("Gx7", "tPq9", "12", "34", "bob"))
        assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("127.0.0.1:1/a?sslmode=require&channel_binding=require", "`channel_binding`"),
        ("127.0.0.1:1/a?connect_timeout=10", "`connect_timeout`"),
        ("127.0.0.1:1/a?pgbouncer=true", "`pgbouncer`"),
        ("127.0.0.1:1/a?schema=public", "`schema`"),
        ("127.0.0.1:1,127.0.0.2:1/a", "several hosts"),
        ("a,b/a", "several hosts"),
        ("127.0.0.1:70000/a", "cannot be read"),
        ("127.0.0.1:1/a?sslmode", "cannot be read"),
    ],
)
def test_what_asyncpg_does_not_know_is_refused_with_what_to_do(rest: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        completed(f"postgresql://u:s3cret@{rest}")
    assert "s3cret" not in str(refused.value)


def test_how_to_connect_comes_from_the_environment_where_the_url_does_not_say_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "primary")
    assert completed("postgresql://u:p@h:1/d?sslmode=require&application_name=a%20b") == (
        "postgresql://u:p@h:1/d?sslmode=require&target_session_attrs=primary&application_name=a+b"
    )


def test_a_database_is_exchanged_and_an_address_shows_no_password() -> None:
    assert with_database("postgresql://u:p@h:1/d?x=y", "a b/c?") == "postgresql://u:p@h:1/a%20b%2Fc%3F?x=y"
    assert address("postgresql://u:p@h/d") == "h:5432"


def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container that runs under a number: no entry in the system's list of users, and no home."""

    def unknown(_uid: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for variable in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "PGPASSFILE"):
        monkeypatch.delenv(variable, raising=False)


def test_a_user_without_a_name_has_to_be_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless(monkeypatch)
    with pytest.raises(UsageError, match="names no user, and the user that runs this has no name"):
        completed("postgresql://127.0.0.1/x")
    assert completed("postgresql://u@127.0.0.1/x") == "postgresql://u@127.0.0.1:5432/x"


def test_a_url_of_several_servers_says_where_each_is() -> None:
    both = "postgresql://u:p@127.0.0.1:5001,[::1]:5002/d?target_session_attrs=read-write"
    assert endpoints(both) == [("127.0.0.1", 5001), ("::1", 5002)]
    assert address(both) == "127.0.0.1:5001,::1:5002"
    assert endpoints("postgresql://h/d") == [("h", 5432)]
