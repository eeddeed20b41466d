"""Which URLs of PostgreSQL are understood, and that nothing of a password is ever said."""

import re

import pytest

from anima.addresses import address_of
from anima.errors import InvalidInput

PASSWORD = "Gx7{}tPq9"


@pytest.mark.parametrize("character", ["/", "@", "#", "?", "[", "]", "%", " ", "%zz", "\n", "/?", "?a=b&"])
@pytest.mark.parametrize("rest", ["@127.0.0.1:5432/a1", "@h/d?sslmode=require", "@[::1]/d"])
def test_a_password_with_a_character_that_has_to_be_encoded_is_refused_and_not_repeated(
    character: str, rest: str
) -> None:
    with pytest.raises(InvalidInput, match="has to be encoded") as refusal:
        address_of(f"postgresql://bob:{PASSWORD.format(character)}{rest}")
    assert not re.search("Gx7|tPq9|bob", str(refusal.value))


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        ("h/d?pgbouncer=true", "has a parameter 'pgbouncer' that is unknown"),
        ("h/d?schema=public", "options=-c%20name%3Dvalue"),
        ("h/d?channel_binding=require", "asyncpg"),
        ("h/d?sslmode=on", "verify-full"),
        ("h/d?target_session_attrs=master", "read-write"),
        ("h/d?connect_timeout=soon", "no number of seconds"),
        ("h/d?sslrootcert=/nowhere/ca.crt", "sslrootcert that is not there"),
        ("h/d?sslmode", "parameter without a value"),
        ("h:0/d", "Ports go from 1"),
        ("h:65536/d", "Ports go from 1"),
        ("h/d?port=x", "Ports go from 1"),
        ("h,,g/d", "cannot be read"),
        ("h/d?host=a,/b", "a host that cannot be read"),
        ("h/a%00b", "cannot be read"),
        ("h/d?password=Gx7&tPq9=", "has a parameter that is unknown"),
        ("h/d?password=Gx7&tPq9", "parameter without a value"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(rest: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        address_of(f"postgresql://bob:Gx7tPq9@{rest}")
    assert sentence in str(refusal.value)
    assert not re.search("Gx7|tPq9|bob", str(refusal.value))


@pytest.mark.parametrize(
    "url", ["host=h dbname=d password=Gx7tPq9", "mysql://bob:Gx7tPq9@h/d", "postgresql+asyncpg://bob:Gx7tPq9@h/d", "d"]
)
def test_what_is_no_url_of_postgresql_is_told_what_one_looks_like(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"looks like postgresql://user@host:5432/database\.$") as refusal:
        address_of(url)
    assert "Gx7" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("postgresql://u:p%2F%40@127.0.0.1:5432/a1", "127.0.0.1:5432/a1"),
        ("postgres://u:a:b@[::1]:5433/a-b%20c", "[::1]:5433/a-b c"),
        ("postgresql://u@a:1,b:2/d", "a:1,b:2/d"),
        ("postgresql://h?port=6432&dbname=donn%C3%A9es", "h:6432/données"),
        ("postgresql:///d?host=/run/postgresql", "the socket in /run/postgresql, database d"),
        ("postgresql://%2Frun%2Fpg/d", "the socket in /run/pg, database d"),
        ("postgresql:///d", "the local socket/d"),
        ("postgresql://u@h/d?password=secret&options=-csearch_path%3Da", "h/d"),
    ],
)
def test_hosts_and_database_are_what_may_be_shown(url: str, location: str) -> None:
    address = address_of(url)
    assert address.location == location
    assert "dsn" not in repr(address)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "?application_name=anima"),
        ("?application_name=mine", "?application_name=mine"),
        ("?connect_timeout=10&channel_binding=prefer", "?application_name=anima"),
        ("?options=-c%20jit%3Doff&password=", "?options=-c%20jit%3Doff&application_name=anima"),
    ],
)
def test_asyncpg_is_told_what_it_knows(query: str, told: str) -> None:
    assert address_of(f"postgresql://u:p@h/d{query}").dsn == f"postgresql://u:p@h/d{told}"


def test_an_address_in_brackets_may_stand_after_another_host() -> None:
    """Where Python's own parser refuses that in a URL, it takes it as a parameter."""
    address = address_of("postgresql://u:p@127.0.0.1:5001,[::1]:5002/d")
    assert address.location == "127.0.0.1:5001,[::1]:5002/d"
    known = "?application_name=anima&target_session_attrs=read-write&host=127.0.0.1%3A5001%2C%5B%3A%3A1%5D%3A5002"
    assert address.dsn == f"postgresql://u:p@/d{known}"


@pytest.mark.parametrize(("stated", "seconds"), [("10", 10.0), ("0", None), ("-1", None)])
def test_a_connect_timeout_is_in_seconds_and_none_is_no_limit(stated: str, seconds: float | None) -> None:
    assert address_of(f"postgresql://h/d?connect_timeout={stated}").connect_timeout_s == seconds


def test_of_several_hosts_the_one_that_takes_writes_is_used_unless_another_is_asked_for() -> None:
    assert "target_session_attrs=read-write" in address_of("postgresql://a,b/d").dsn
    assert "read-write" not in address_of("postgresql://a,b/d?target_session_attrs=any").dsn
    assert "target_session_attrs" not in address_of("postgresql://a/d").dsn
