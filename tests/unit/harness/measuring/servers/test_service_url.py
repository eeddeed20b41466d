"""What may be stated as the address of a service, and what it becomes."""

import pytest

from harness.measuring.servers.service_url import plain


@pytest.mark.parametrize(
    ("stated", "url"),
    [
        ("http://127.0.0.1:7100", "http://127.0.0.1:7100"),
        (" http://host/ ", "http://host"),
        ("https://host:443/a/b//", "https://host:443/a/b"),
        ("HTTP://[::1]:7100/x", "HTTP://[::1]:7100/x"),
    ],
)
def test_an_address_is_kept_without_what_surrounds_it(stated: str, url: str) -> None:
    assert plain(stated) == url


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ("http://user:planted@host", "credentials.*HARNESS_SERVICE_KEY"),
        ("user:planted@host:7100", "credentials"),
        ("http://user:plan/ted@host", "credentials"),
        ("127.0.0.1:7100", "begins with http:// or https://, as in http://127.0.0.1:7100"),
        ("ftp://host", "as in http://host"),
        ("http://host/?api_key=planted", "behind [?] or #"),
        ("http://host/#x", "behind [?] or #"),
        ("http://", "names no host and port"),
        ("http://:7100", "names no host and port"),
        ("http://host:port", "names no host and port"),
        ("http://host:99999", "names no host and port"),
        ("http://[::1", "names no host and port"),
        ("http://a b", "names no host and port"),
        (f"http://{'a' * 64}.com", "names no host and port"),
    ],
)
def test_what_is_none_is_refused_with_what_to_write_and_no_secret(stated: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        plain(stated)
    assert "plan" not in str(error.value)
