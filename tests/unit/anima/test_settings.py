"""What is read from the environment, and how a wrong variable is named."""

import pytest

from anima.errors import InvalidInput
from anima.settings import Settings


@pytest.mark.parametrize("environment", [{}, {"ANIMA_DATABASE_URL": ""}, {"DATABASE_URL": "postgresql://h/d"}])
def test_without_its_variable_a_setting_is_absent(environment: dict[str, str]) -> None:
    assert Settings.from_environment(environment).database_url is None


@pytest.mark.parametrize("url", ["postgresql://h/d", "postgres://u:p@h:1/d?options=-csearch_path%3Da"])
def test_a_url_of_postgresql_is_taken_as_it_is(url: str) -> None:
    assert Settings.from_environment({"ANIMA_DATABASE_URL": url}).database_url == url


def test_a_wrong_value_is_refused_by_the_name_of_its_variable_and_without_its_text() -> None:
    with pytest.raises(InvalidInput, match="ANIMA_DATABASE_URL") as refusal:
        Settings.from_environment({"ANIMA_DATABASE_URL": "mysql://u:secret@h/d"})
    assert "secret" not in str(refusal.value)
