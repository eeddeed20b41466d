"""A scenario out of an OpenAPI document: what is asked, with which values, and what is left to somebody's decision."""

import tomllib
from typing import Any

import pytest

from harness.errors import UsageError
from harness.measuring import scenario_files
from harness.measuring.targets.http.openapi import scenario_of

NOTE = {
    "type": "object",
    "required": ["title", "kind"],
    "properties": {
        "title": {"type": "string", "maxLength": 200},
        "kind": {"enum": ["a", "b"]},
        "text": {"type": "string"},
    },
}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Notes & more", "version": "1"},
    "components": {"schemas": {"Note": NOTE}},
    "paths": {
        "/notes": {
            "post": {
                "operationId": "create-note",
                "security": [{"key": []}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}},
                "responses": {"201": {}, "422": {}},
            },
            "get": {
                "parameters": [
                    {"in": "query", "name": "author", "required": True, "schema": {"type": "string", "format": "uuid"}},
                    {"in": "query", "name": "limit", "schema": {"type": "integer"}},
                ],
                "responses": {"200": {}},
            },
        },
        "/notes/{note-id}": {
            "parameters": [{"in": "path", "name": "note-id", "required": True, "schema": {"type": "integer"}}],
            "delete": {"operationId": "remove", "responses": {"204": {}}},
        },
        "/healthz": {"get": {"operationId": "health", "responses": {"200": {}}}},
    },
}


def test_each_endpoint_becomes_an_operation() -> None:
    scenario = tomllib.loads(scenario_of(DOCUMENT, "http://127.0.0.1:8000"))
    assert scenario["name"] == "notes-more"
    assert scenario["service"] == {"url": "http://127.0.0.1:8000", "ready": "/healthz"}
    assert scenario["operations"] == {
        "get_notes": {
            "method": "GET",
            "path": "/notes",
            "query": {"author": {"uuid": {}}},
            "expect": {"status": 200},
        },
        "create_note": {
            "method": "POST",
            "path": "/notes",
            "headers": {"Authorization": "Bearer {env.API_KEY}"},
            "json": {"title": {"words": {"count": 3}}, "kind": {"uniform": {"of": ["a", "b"]}}},
            "expect": {"status": 201},
        },
        "remove": {
            "method": "DELETE",
            "path": "/notes/{note_id}",
            "values": {"note_id": {"uniform": {"min": 1, "max": 100}}},
            "expect": {"status": 204},
        },
        "health": {"method": "GET", "path": "/healthz", "expect": {"status": 200}},
    }
    (phase,) = scenario["phases"]
    assert phase["mix"] == {"get_notes": 9, "create_note": 1, "remove": 0, "health": 9}
    assert "remove.errors <= 0%" not in scenario["budgets"]


def test_what_is_written_can_be_run() -> None:
    scenario = scenario_files.parsed(tomllib.loads(scenario_of(DOCUMENT, "http://127.0.0.1:8000")))
    assert scenario.operation_names == ("get_notes", "create_note", "health")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 7}, {"uniform": {"min": 5, "max": 7}}),
        ({"type": ["null", "number"]}, {"uniform": {"min": 0.0, "max": 1.0}}),
        ({"type": "boolean"}, {"uniform": {"of": [True, False]}}),
        ({"type": "array", "minItems": 1, "items": {"type": "string", "format": "date"}}, [{"date": {}}]),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "string", "pattern": "^[a-z]+$"}, {"words": {"count": 1}}),
        ({"type": "string", "example": "x"}, "x"),
        ({"anyOf": [{"type": "null"}, {"const": 3}]}, 3),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
    ],
)
def test_a_value_is_as_its_schema_wants_it(schema: dict[str, Any], value: object) -> None:
    body = {"requestBody": {"content": {"application/json": {"schema": {"properties": {"v": schema}}}}}}
    document = {"paths": {"/": {"post": {"operationId": "send", **body}}}}
    sent = tomllib.loads(scenario_of(document, "http://a"))["operations"]["send"]["json"]
    assert sent == {"v": value}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "no `paths` with operations"),
        ({"paths": []}, "no `paths` with operations"),
        ({"paths": {"/": {"$ref": "#/gone"}}}, "refers to #/gone, which is not in it"),
    ],
)
def test_what_is_no_such_document_is_told(document: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        scenario_of(document, "http://a")
