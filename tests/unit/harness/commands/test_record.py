"""`harness record`: recorded requests become a scenario that can be read, without what is secret in them."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.command_line import record
from harness.errors import UsageError
from harness.measuring import scenario_files
from harness.measuring.own_scenario import OwnScenario

SHOP = "https://shop.example"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def entry(second: int, method: str, url: str, status: int = 200, **request: Any) -> dict[str, Any]:
    return {
        "startedDateTime": f"2026-11-29T10:00:{second:02}.500Z",
        "request": {"method": method, "url": url if "://" in url else SHOP + url, **request},
        "response": {"status": status, "content": {"mimeType": "application/json"}},
    }


def posted(value: object) -> dict[str, str]:
    return {"mimeType": "application/json; charset=utf-8", "text": json.dumps(value)}


HAR = {
    "log": {
        "entries": [
            entry(4, "GET", "/api/orders/17?expand=lines&tag=a&tag=b", headers=[{"name": "X-Shop", "value": "{eu}"}]),
            entry(1, "GET", "/app.js"),
            entry(
                2,
                "POST",
                "/api/login",
                postData={
                    "mimeType": "application/x-www-form-urlencoded",
                    "params": [{"name": "user", "value": "ann"}, {"name": "password", "value": "hunter2hunter2"}],
                },
            ),
            entry(
                3,
                "POST",
                "/api/orders",
                201,
                headers=[
                    {"name": "authorization", "value": "Bearer s3cr3t-of-ann"},
                    {"name": "Cookie", "value": "session=s3cr3t-cookie"},
                    {"name": "X-CSRF-Token", "value": "s3cr3t-csrf"},
                    {"name": "User-Agent", "value": "Firefox"},
                ],
                postData=posted({"product": 5, "note": "{a}", "lines": [{"n": 1}], "proof": JWT}),
            ),
            entry(5, "GET", "/api/orders/18?expand=lines&tag=a&tag=c", headers=[{"name": "X-Shop", "value": "{eu}"}]),
            entry(
                6,
                "POST",
                "/api/orders",
                201,
                postData=posted({"product": 6, "note": "{a}", "lines": [{"n": 1}], "proof": JWT}),
                headers=[{"name": "authorization", "value": "Bearer s3cr3t-of-ann"}],
            ),
            entry(7, "GET", f"/api/confirm/{JWT}"),
            entry(8, "GET", "/api/gone", 404),
            entry(9, "GET", "https://elsewhere.example/pixel"),
            entry(10, "POST", "/api/upload", postData={"mimeType": "multipart/form-data", "text": "--x"}),
        ]
    }
}


def recorded(tmp_path: Path, content: str, *arguments: str, name: str = "shop.har") -> str:
    (tmp_path / name).write_text(content)
    asked = [str(tmp_path / name), "--to", str(tmp_path / "shop.toml"), *arguments]
    return CliRunner().invoke(record, asked, catch_exceptions=False, standalone_mode=False).output


def scenario_in(tmp_path: Path) -> dict[str, Any]:
    """As it is written, which a run can read."""
    assert isinstance(scenario_files.load_scenario(str(tmp_path / "shop.toml")), OwnScenario)
    return tomllib.loads((tmp_path / "shop.toml").read_text())


def test_requests_of_a_browser_become_operations_by_route(tmp_path: Path) -> None:
    told = recorded(tmp_path, json.dumps(HAR))
    scenario = scenario_in(tmp_path)
    assert scenario["service"]["url"] == SHOP
    operations = scenario["operations"]
    assert operations["get_api_orders_one"] == {
        "method": "GET",
        "path": "/api/orders/{order_id}",
        "query": {"expand": "lines", "tag": ["a", {"uniform": {"of": ["b", "c"]}}]},
        "headers": {"x-shop": "{{eu}}"},
        "values": {"order_id": {"uniform": {"of": ["17", "18"]}}},
        "expect": {"status": 200},
    }
    assert operations["post_api_orders"] == {
        "method": "POST",
        "path": "/api/orders",
        "headers": {"authorization": "Bearer {env.API_KEY}"},
        "json": {
            "product": {"uniform": {"of": [5, 6]}},
            "note": "{{a}}",
            "lines": [{"n": 1}],
            "proof": "{env.PROOF}",
        },
        "expect": {"status": 201},
    }
    assert operations["post_api_login"]["form"] == {"user": "ann", "password": "{env.PASSWORD}"}
    assert scenario["phases"][0]["mix"]["get_api_orders_one"] == 2
    for left_out in ("static files", "not answered with success", "another address", "neither JSON nor a form"):
        assert f"Left out: 1 {'to' if 'address' in left_out else ''}".strip() in told
        assert left_out in told


@pytest.mark.parametrize("arguments", [(), ("--trace", "--static")])
def test_nothing_secret_is_written(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    recorded(tmp_path, json.dumps(HAR), *arguments)
    written = "".join(path.read_text() for path in tmp_path.iterdir() if path.suffix != ".har")
    for secret in ("s3cr3t", "hunter2", "eyJ"):
        assert secret not in written


def test_a_trace_sends_each_request_at_the_distance_that_it_had(tmp_path: Path) -> None:
    recorded(tmp_path, json.dumps(HAR), "--trace")
    lines = [json.loads(line) for line in (tmp_path / "shop.jsonl").read_text().splitlines()]
    assert [(line["offset_s"], line["operation"]) for line in lines[:3]] == [
        (0.0, "post_api_login"),
        (1.0, "post_api_orders"),
        (2.0, "get_api_orders_one"),
    ]
    assert lines[2]["arguments"]["values"] == {"order_id": "17"}
    assert scenario_in(tmp_path)["phases"][0]["arrival"]["path"] == "shop.jsonl", "beside it, wherever both are moved"
    scenario = scenario_files.load_scenario(str(tmp_path / "shop.toml"))
    [phase] = scenario.phases
    assert [each.operation for each in scenario.workload_of(1).by_phase[phase.name]] == [
        line["operation"] for line in lines
    ]


COMBINED = """\
10.0.0.1 - ann [29/Nov/2026:10:00:01 +0000] "GET /orders/7?page=2 HTTP/1.1" 200 512 "-" "curl/8"
10.0.0.1 - - [29/Nov/2026:10:00:00 +0000] "GET /health HTTP/2.0" 204 0 "-" "-"
10.0.0.1 - - [29/Nov/2026:10:00:02 +0000] "POST /orders HTTP/1.1" 201 9 "-" "-"
10.0.0.1 - - [29/Nov/2026:10:00:02 +0000] "\\x16\\x03" 400 9 "-" "-"
"""
JSON_LINES = """\
{"@timestamp": "2026-11-29T10:00:01Z", "method": "get", "path": "/orders/7", "args": "page=2", "status": "200"}
{"ts": 1795946400.0, "request": {"method": "GET", "uri": "/health"}, "status": 204}
{"timestamp": 1795946402000, "request": "POST /orders HTTP/1.1", "status": 201}
{"message": "started"}
"""


@pytest.mark.parametrize("log", [COMBINED, JSON_LINES])
def test_an_access_log_gives_what_was_asked_without_a_body(log: str, tmp_path: Path) -> None:
    told = recorded(tmp_path, log, "--trace", "--url", "http://127.0.0.1:8000", name="access.log")
    assert scenario_in(tmp_path)["operations"]["get_orders_one"]["query"] == {"page": "2"}
    lines = [json.loads(line) for line in (tmp_path / "shop.jsonl").read_text().splitlines()]
    assert [(line["offset_s"], line["operation"]) for line in lines] == [(0, "get_health"), (1, "get_orders_one")]
    assert "Left out: 1 lines that are no request." in told
    assert "Left out: 1 whose body was not recorded" in told


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.har", '{"log": ', "is not JSON, which a HAR file is: .*line 1 column"),
        ("a.har", "[]", "has no log.entries"),
        ("a.har", '{"log": {"entries": [{"request": {}}]}}', r"log.entries\[0\] is no request"),
        ("a.har", '{"log": {"entries": []}}', "holds no request"),
        ("a.log", "hello\n", "holds no request"),
        ("a.log", COMBINED, "Say it with --url"),
        ("a.har", json.dumps({"log": {"entries": [entry(1, "GET", "/gone", 404)]}}), "No request is left"),
    ],
)
def test_what_is_no_recording_is_told(name: str, content: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        recorded(tmp_path, content, name=name)
    assert not (tmp_path / "shop.toml").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://ann:hunter2hunter2@shop.example", "--url: the URL contains credentials"),
        ("shop.example:80", "--url: a service's URL begins with http:// or https://"),
    ],
)
def test_an_address_that_no_scenario_may_keep_is_told(url: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        recorded(tmp_path, COMBINED, "--url", url, name="access.log")
    assert "hunter2" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["access.log"]


def test_no_file_is_overwritten_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    recorded(tmp_path, json.dumps(HAR))
    with pytest.raises(UsageError, match="is there already"):
        recorded(tmp_path, json.dumps(HAR))
    with pytest.raises(UsageError, match="cannot be read"):
        CliRunner().invoke(record, [str(tmp_path / "none.har")], catch_exceptions=False, standalone_mode=False)
