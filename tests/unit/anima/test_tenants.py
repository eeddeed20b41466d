"""Names of tenants, the keys that belong to them, and the limits that they share."""

import pytest
from pydantic import SecretStr

from anima.errors import InvalidInput
from anima.http.api_keys import new_key, read_keys, tenant_of, tenants_of
from anima.http.rate_limit import client_of
from anima.tenants import schema_of, url_of

HASH = "0" * 64


@pytest.mark.parametrize("name", ["", "Acme", "1a", "_a", "a-b", "a.b", 'a"', "a" * 41, "ä", "a/b"])
def test_what_is_no_name_of_a_tenant_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name of a tenant"):
        schema_of(name)


def test_a_key_belongs_to_the_tenant_before_its_slash() -> None:
    keys = read_keys(SecretStr(f"acme/laptop:{HASH}, acme/phone:{HASH},globex/laptop:{HASH}"))
    assert list(keys) == ["acme/laptop", "acme/phone", "globex/laptop"]
    assert tenants_of(keys) == ("acme", "globex")
    assert tenants_of(read_keys(SecretStr(f"laptop:{HASH}"))) == ()
    assert tenant_of(new_key("laptop", "acme").entry.partition(":")[0]) == "acme"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (f"acme/laptop:{HASH},phone:{HASH}", "Some API keys belong to a tenant, and some to none"),
        (f"Acme/laptop:{HASH}", "'Acme' is no name of a tenant"),
        (f"/laptop:{HASH}", "'' is no name of a tenant"),
        (f"a/b/c:{HASH}", "API key number 1 is not an entry"),
    ],
)
def test_keys_that_do_not_say_whose_they_are_are_refused(entries: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_keys(SecretStr(entries))


def test_all_keys_of_a_tenant_share_its_limit() -> None:
    scopes = [{"state": {"client": f"acme/{name}", "tenant": "acme"}} for name in ("laptop", "phone")]
    assert {client_of(scope) for scope in scopes} == {"tenant acme"}


def test_the_url_of_a_tenant_begins_the_search_path_and_keeps_the_rest() -> None:
    assert url_of("postgresql://u@h/d?sslmode=disable&search_path=x", "acme") == (
        "postgresql://u@h/d?sslmode=disable&search_path=anima_acme"
    )
    assert url_of("postgresql://u@h/d", "acme") == "postgresql://u@h/d?search_path=anima_acme"
