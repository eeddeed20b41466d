"""From settings to what a server process is made from."""

import pytest

from anima.errors import InvalidInput
from anima.http.server import options_from
from anima.settings import Settings

URL = "postgresql://h/d"


def test_redis_is_used_when_it_is_named() -> None:
    assert options_from(Settings.from_environment({}), URL).shared_cache is None
    options = options_from(Settings.from_environment({"ANIMA_REDIS_URL": "redis://u:secret@h:6379/0"}), URL)
    assert options.shared_cache is not None
    assert options.shared_cache.url.get_secret_value() == "redis://u:secret@h:6379/0"
    assert "secret" not in repr(options)


def test_a_wrong_address_is_refused_by_the_name_of_its_variable_and_without_its_text() -> None:
    with pytest.raises(InvalidInput, match="ANIMA_REDIS_URL: ") as refusal:
        options_from(Settings.from_environment({"ANIMA_REDIS_URL": "http://u:secret@h"}), URL)
    assert "secret" not in str(refusal.value)
