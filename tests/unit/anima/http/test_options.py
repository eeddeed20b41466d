"""From settings to what a server process is made from, and how it is said that one did not start."""

import sys
from dataclasses import replace

import pytest

from anima.errors import InvalidInput
from anima.http.server import NotStarted, ServiceOptions, failing_start, options_from, tracer_of
from anima.settings import Settings
from anima.strategy import FRONTIER
from tests.service import options_for

URL = "postgresql://h/d"


def test_redis_is_used_when_it_is_named() -> None:
    assert options_from(Settings.from_environment({}), FRONTIER, URL).shared_cache is None
    options = options_from(Settings.from_environment({"ANIMA_REDIS_URL": "redis://u:secret@h:6379/0"}), FRONTIER, URL)
    assert options.shared_cache is not None
    assert options.shared_cache.url.get_secret_value() == "redis://u:secret@h:6379/0"
    assert "secret" not in repr(options)


def test_a_wrong_address_is_refused_by_the_name_of_its_variable_and_without_its_text() -> None:
    with pytest.raises(InvalidInput, match="ANIMA_REDIS_URL: ") as refusal:
        options_from(Settings.from_environment({"ANIMA_REDIS_URL": "http://u:secret@h"}), FRONTIER, URL)
    assert "secret" not in str(refusal.value)


def test_the_time_limits_of_the_provider_are_settings() -> None:
    environment = {"ANIMA_EMBEDDING_TIMEOUT_S": "2.5", "ANIMA_EMBEDDING_LOAD_TIMEOUT_S": "300"}
    embeddings = options_from(Settings.from_environment(environment), FRONTIER, URL).embeddings
    assert (embeddings.timeout_s, embeddings.load_timeout_s) == (2.5, 300.0)


def test_a_start_that_fails_is_a_failure_like_others() -> None:
    with pytest.raises(NotStarted, match="did not start"), failing_start():
        raise SystemExit(3)
    with pytest.raises(SystemExit), failing_start():
        raise SystemExit(0)


def test_a_missing_extra_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anima.http.tracing", None)
    options: ServiceOptions = replace(options_for(URL), otlp_endpoint="http://127.0.0.1:4318")
    with pytest.raises(InvalidInput, match=r"ANIMA_OTLP_ENDPOINT is set.*Install the extra `otel`"), tracer_of(options):
        pass
