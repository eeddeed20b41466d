"""Rewriting a database URL so that it leads through the proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ProvisioningError
from harness.measuring.servers.network import with_endpoint


@pytest.mark.parametrize(
    ("url", "rewritten"),
    [
        ("postgresql://localhost/anima", "postgresql://127.0.0.1:6000/anima"),
        ("postgresql://me@db.example:5433/anima", "postgresql://me@127.0.0.1:6000/anima"),
        ("postgresql://me:p%40ss:w@db.example/a%2Fb", "postgresql://me:p%40ss:w@127.0.0.1:6000/a%2Fb"),
        ("postgresql://me@[::1]:5433/anima?sslmode=disable", "postgresql://me@127.0.0.1:6000/anima?sslmode=disable"),
    ],
)
def test_only_host_and_port_change(url: str, rewritten: str) -> None:
    assert with_endpoint(url, "127.0.0.1", 6000) == rewritten


def test_an_ipv6_host_is_bracketed() -> None:
    assert with_endpoint("postgresql://me@db/anima", "::1", 6000) == "postgresql://me@[::1]:6000/anima"


@given(port=st.integers(1, 65535), host=st.sampled_from(["127.0.0.1", "::1", "db.example"]))
def test_going_there_and_back_changes_nothing(port: int, host: str) -> None:
    url = "postgresql://me:secret@db.example:5433/anima?application_name=x"
    assert with_endpoint(with_endpoint(url, host, port), "db.example", 5433) == url


def test_a_verified_name_does_not_go_through_the_proxy() -> None:
    with pytest.raises(ProvisioningError, match="sslmode=verify-ca"):
        with_endpoint("postgresql://me@db/anima?sslmode=verify-full", "127.0.0.1", 6000)
    with_endpoint("postgresql://me@db/anima?sslmode=require", "127.0.0.1", 6000)
