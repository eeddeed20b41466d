"""What is hidden in a text before it is stored or shown, and what stays."""

import pytest

from harness.redaction import all_without_secrets, without_secrets


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("at http://user:pw@host/x, port 1", "at http://…@host/x, port 1"),
        ("postgresql://u:a/b@c@host/d", "postgresql://…@host/d"),
        ("https://token@host", "https://…@host"),
        ("write postgresql://user@host:5432/database", "write postgresql://user@host:5432/database"),
        ("host=h password=pw1 user=u", "host=h password=… user=u"),
        ("sslpassword='a b' x", "sslpassword=… x"),
        ('{"api_key": "k-1", "n": 2}', '{"api_key": …, "n": 2}'),
        ("?apikey=k&n=2", "?apikey=…&n=2"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
        ("http://127.0.0.1:7100/api answers 404", "http://127.0.0.1:7100/api answers 404"),
        ("query.p95 <= 150ms, 3 tokens", "query.p95 <= 150ms, 3 tokens"),
    ],
)
def test_what_is_secret_by_its_form_is_hidden_and_nothing_else(text: str, hidden: str) -> None:
    assert without_secrets(text) == hidden


def test_the_secrets_of_the_environment_are_hidden_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SERVICE_KEY", "planted-key")
    monkeypatch.setenv("SOME_URL", "redis://:planted-password@host/0")
    monkeypatch.setenv("SHORT_TOKEN", "on")
    assert without_secrets("on planted-key, or planted-password") == "on …, or …"


def test_a_document_is_gone_through_with_its_keys() -> None:
    document = {
        "database": {"settings": {"primary_conninfo": "host=h", "work_mem": "4MB"}},
        "list": ["http://a:b@c", {"api_key": "x"}],
        "size": 3,
    }
    assert all_without_secrets(document) == {
        "database": {"settings": {"primary_conninfo": "…", "work_mem": "4MB"}},
        "list": ["http://…@c", {"api_key": "…"}],
        "size": 3,
    }


def test_a_placeholder_that_names_where_a_secret_comes_from_is_none() -> None:
    headers = {"Authorization": "Bearer {env.API_KEY}", "X-Api-Key": "{env.API_KEY}", "token": "abc{env.API_KEY}"}
    assert all_without_secrets({"headers": headers}) == {"headers": {**headers, "token": "…"}}
    assert without_secrets("password={env.PW} Bearer {env.K} Bearer abc{x}") == (
        "password={env.PW} Bearer {env.K} Bearer …"
    )
