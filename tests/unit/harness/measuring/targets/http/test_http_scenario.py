"""What a scenario of a service may say, and what of it cannot be followed, with its place."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.measuring import scenario_files
from harness.measuring.targets.http.scenario import HttpScenario
from harness.measuring.targets.http.target import launch, secrets_of
from harness.measuring.targets.protocol import TargetContext

SCENARIO = """
name = "notes"
target = "http"
{top}
[service]
{service}
[operations.create]
method = "POST"
path = "/notes"
{create}
[operations.read]
path = "{path}"
[[phases]]
requests = 10
time_s = 5
"""
COMMAND = 'command = ["notes", "--port", "{port}"]'


def load(tmp_path: Path, **parts: str) -> HttpScenario:
    text = SCENARIO
    for name, part in ({"top": "", "service": COMMAND, "create": "", "path": "/notes/{create.id}"} | parts).items():
        text = text.replace(f"{{{name}}}", part, 1)
    file = tmp_path / "notes.toml"
    file.write_text(text)
    scenario = scenario_files.load_scenario(str(file))
    assert isinstance(scenario, HttpScenario)
    return scenario


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"path": "/notes/{creat.id}"}, "operations.read.path: nothing gives {creat.id}: it is no name in `values`, "),
        ({"path": "/notes/{creat.id}"}, "Did you mean 'create'?"),
        ({"path": "/notes/{create}"}, "say which part of the answer is meant, as in {create.id}"),
        ({"create": 'json = { a = ["{title}"] }'}, "operations.create.json.a.0: nothing gives {title}"),
        ({"create": 'expect = { json = { a = "{title}" } }'}, "operations.create.expect.json.a: nothing gives {title}"),
        ({"create": 'headers = { Authorization = "Bearer abc" }'}, "headers.Authorization: a secret stands here"),
        ({"create": 'form = { password = "abc" }'}, "form.password: a secret stands here"),
        ({"create": "json = 1\nform = { a = 1 }"}, "`json` and `form` are both the body"),
        ({"create": "query = [1]"}, "operations.create.query: this is a table"),
        ({"create": "expect = { status = 99 }"}, "operations.create.expect.status"),
        ({"path": "notes"}, "operations.read.path"),
        ({"service": 'command = ["notes"]'}, "service: {port} stands neither in `command` nor in `env`"),
        ({"service": ""}, "service: either `command` or `url`"),
        ({"service": f'{COMMAND}\nurl = "http://127.0.0.1:1"'}, "service: either `command` or `url`"),
        ({"service": f'{COMMAND}\nenv = {{ SECRET_KEY = "abc" }}'}, "service.env: SECRET_KEY: a secret stands here"),
        ({"service": f'{COMMAND}\ndirectory = "elsewhere"'}, "service.directory: there is no folder"),
        ({"service": 'url = "notes.example"'}, "service.url: a service's URL begins with http:// or https://"),
    ],
)
def test_what_cannot_be_followed_is_told_with_its_place(parts: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load(tmp_path, **parts)
    assert told in str(error.value)


def test_what_others_take_of_an_answer_begins_a_user(tmp_path: Path) -> None:
    scenario = load(tmp_path, path="/notes/{create.note.id}")
    assert scenario.begun_with == ("create",)
    assert [reference.path for reference in scenario.kept_of("create")] == [("note", "id")]
    assert scenario.kept_of("read") == frozenset()


def test_a_variable_that_is_not_there_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = load(tmp_path, create='headers = { Authorization = "Bearer {env.NOTES_KEY}" }')
    monkeypatch.delenv("NOTES_KEY", raising=False)
    with pytest.raises(UsageError, match=r"operations\.create\.headers\.Authorization: .*the environment has no NOTES"):
        secrets_of(scenario)
    monkeypatch.setenv("NOTES_KEY", "planted")
    assert list(secrets_of(scenario).values()) == ["planted"]
    assert "planted" not in scenario.model_dump_json()


def test_a_stored_scenario_is_the_same_again(tmp_path: Path) -> None:
    create = 'json = { a = "{t}", b = { words = { count = 2 } } }\nvalues = { t = { uuid = {} } }'
    scenario = load(tmp_path, create=create)
    document: dict[str, Any] = scenario.model_dump(mode="json")
    again = scenario_files.stored("run", document, None)
    assert again == scenario
    assert scenario_files.parsed(scenario.for_worker) == scenario


def test_a_variant_overrides_what_differs(tmp_path: Path) -> None:
    top = """
[variants.before]
[variants.after]
env = { CACHE = "1" }
[variants.elsewhere]
url = "http://127.0.0.1:9/"
"""
    scenario = load(tmp_path, service=f'{COMMAND}\nenv = {{ MODE = "x" }}', top=top)
    assert scenario.service_of("before").env == {"MODE": "x"}
    assert scenario.service_of("after").env == {"MODE": "x", "CACHE": "1"}
    assert scenario.service_of("elsewhere").url == "http://127.0.0.1:9"
    assert [scenario.works_on_database_of_run(name) for name in scenario.variants] == [True, True, False]


def test_a_service_is_told_its_database(tmp_path: Path) -> None:
    env = 'env = { URL = "{database_url}", DSN = "host={database_host} port={database_port} dbname={database_name}" }'
    scenario = load(tmp_path, service=f"{COMMAND}\n{env}")
    url = "postgresql://anna:pass%20word@127.0.0.1:5433/notes"
    started = launch("notes", scenario.service_of("current"), TargetContext("current", url)).on(8000)
    assert started.command == ["notes", "--port", "8000"]
    assert started.environment["URL"] == url
    assert started.environment["DSN"] == "host=127.0.0.1 port=5433 dbname=notes"
    assert started.directory == str(tmp_path)


def test_the_schema_describes_each_field_of_an_operation() -> None:
    definitions = scenario_files.json_schema()["$defs"]
    fields = definitions["HttpOperation"]["properties"]
    assert {"method", "path", "query", "headers", "json", "form", "values", "expect"} == set(fields)
    undescribed = [name for name, field in fields.items() if "description" not in field]
    assert undescribed == []
