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
        ({"swagger": "2.0", "paths": {"/": {"get": {}}}}, "a document of Swagger 2.0. Convert it"),
    ],
)
def test_what_is_no_such_document_is_told(document: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        scenario_of(document, "http://a")


def asked(document: dict[str, Any]) -> dict[str, Any]:
    """The operations that are written, which a run can read."""
    scenario = tomllib.loads(scenario_of(document, "http://127.0.0.1:8000"))
    scenario_files.parsed(scenario)
    operations: dict[str, Any] = scenario["operations"]
    return operations


USER = {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}, "name": {"type": "string"}}}
LOG_IN: dict[str, Any] = {"properties": {"username": {}, "password": {}}, "required": ["username", "password"]}
USERS: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Users", "version": "0.1.0"},
    "paths": {
        "/users": {
            "post": {
                "operationId": "create",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewUser"}}}},
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/User"}}}},
                    "422": {"content": {"application/json": {"schema": {}}}},
                },
            }
        },
        "/users/{user_id}": {
            "parameters": [{"name": "user_id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "read", "responses": {"2XX": {}}},
        },
        "/users/{user_id}/notes/{number}": {
            "get": {
                "operationId": "note",
                "parameters": [
                    {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}},
                    {"name": "x-trace", "in": "header", "required": True, "schema": {"type": "string"}},
                    {"name": "Accept", "in": "header", "required": True, "schema": {"type": "string"}},
                ],
                "responses": {"200": {}, "206": {}},
            }
        },
        "/token": {
            "post": {
                "operationId": "log_in",
                "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": LOG_IN}}},
            }
        },
        "/upload": {"post": {"operationId": "upload", "requestBody": {"content": {"multipart/form-data": {}}}}},
        "/old": {"get": {"operationId": "old", "deprecated": True}},
        "/old/": {"get": {"operationId": "old"}},
    },
    "components": {
        "schemas": {
            "User": USER,
            "NewUser": {
                "type": "object",
                "required": ["id", "email", "password", "nickname", "age"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "email": {"type": "string", "format": "email"},
                    "password": {"type": "string", "examples": ["hunter2hunter2"]},
                    "nickname": {"anyOf": [{"type": "string", "example": "{nick}"}, {"type": "null"}]},
                    "age": {"type": "integer", "exclusiveMinimum": 17, "maximum": 20},
                },
            },
        }
    },
}


def test_what_one_operation_makes_another_asks_for() -> None:
    page = {"schema": {"properties": {"items": {"type": "array", "items": USER}}}}
    listing = {"operationId": "products", "responses": {"200": {"content": {"application/hal+json": page}}}}
    product = {"operationId": "product"}
    further = {"/products": {"get": listing}, "/products/{product_id}": {"get": product}}
    operations = asked({**USERS, "paths": {**USERS["paths"], **further}})
    assert operations["read"]["path"] == "/users/{create.id}"
    assert operations["note"]["path"] == "/users/{create.id}/notes/{number}"
    assert operations["product"]["path"] == "/products/{products.items.0.id}"


def test_a_document_as_fastapi_writes_it_becomes_requests_that_it_takes() -> None:
    operations = asked(USERS)
    assert operations["create"]["json"] == {
        "email": "{email}@example.com",
        "password": {"words": {"count": 3}},
        "nickname": "{{nick}}",
        "age": {"uniform": {"min": 18, "max": 20}},
    }
    assert operations["create"]["values"] == {"email": {"uuid": {}}}
    assert operations["log_in"]["form"] == {"username": "{env.USERNAME}", "password": "{env.PASSWORD}"}
    assert operations["note"]["headers"] == {"x-trace": "{x_trace}"}
    assert operations["note"]["expect"] == {"status": [200, 206]}
    assert "expect" not in operations["read"]
    assert set(operations) >= {"old", "old_get_old"}, "one name is given once"


def test_what_cannot_be_sent_and_what_is_deprecated_is_not_asked() -> None:
    [phase] = tomllib.loads(scenario_of(USERS, "http://a"))["phases"]
    assert (phase["mix"]["upload"], phase["mix"]["old"], phase["mix"]["old_get_old"]) == (0, 0, 9)


@pytest.mark.parametrize(
    ("scheme", "sent"),
    [
        ({"type": "http", "scheme": "bearer"}, {"headers": {"Authorization": "Bearer {env.API_KEY}"}}),
        ({"type": "http", "scheme": "Basic"}, {"headers": {"Authorization": "Basic {env.BASIC_CREDENTIALS}"}}),
        ({"type": "oauth2", "flows": {}}, {"headers": {"Authorization": "Bearer {env.API_KEY}"}}),
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, {"headers": {"X-Key": "{env.API_KEY}"}}),
        ({"type": "apiKey", "in": "query", "name": "key"}, {"query": {"key": "{env.API_KEY}"}}),
        ({"type": "apiKey", "in": "cookie", "name": "sid"}, {"headers": {"Cookie": "{env.COOKIE}"}}),
    ],
)
def test_a_key_is_sent_as_its_scheme_wants_it_and_comes_from_the_environment(
    scheme: dict[str, str], sent: dict[str, Any]
) -> None:
    document: dict[str, Any] = {
        "components": {"securitySchemes": {"key": scheme}},
        "security": [{"key": []}],
        "paths": {"/": {"get": {"operationId": "one"}, "post": {"operationId": "open", "security": [{}, {"key": []}]}}},
    }
    operations = asked(document)
    assert {name: operations["one"][name] for name in sent} == sent
    assert not {"headers", "query"} & set(operations["open"]), "a key that is not needed is not sent"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"uniform": {"min": 1, "max": 100}}),
        ({"type": "integer", "maximum": -5}, {"uniform": {"min": -104, "max": -5}}),
        ({"type": "string", "minLength": 40}, {"words": {"count": 4}}),
        ({"type": "string", "maxLength": 2}, {"uniform": {"of": [each * 2 for each in "abcdefgh"]}}),
        ({"type": "string", "format": "uri"}, "https://example.com/"),
        ({"type": "array", "minItems": 2, "items": {"type": "boolean"}}, [{"uniform": {"of": [True, False]}}] * 2),
        ({"$ref": "#/paths/~1/x%2Dtype"}, {"uniform": {"of": ["a"]}}),
        ({"allOf": [{"type": "integer", "minimum": 3}], "maximum": 3}, {"uniform": {"min": 3, "max": 3}}),
        ({"type": "array", "example": ["{a}"]}, {"literal": {"value": ["{a}"]}}),
    ],
)
def test_a_value_keeps_within_its_bounds_in_either_version(schema: dict[str, Any], value: object) -> None:
    body = {"requestBody": {"content": {"application/json": {"schema": {"properties": {"v": schema}}}}}}
    item = {"post": {"operationId": "send", **body}, "x-type": {"enum": ["a", None]}}
    assert asked({"paths": {"/": item}})["send"]["json"] == {"v": value}
