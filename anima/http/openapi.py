"""The OpenAPI document, from the same definitions that check requests and write answers."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec.json import schema_components
from pydantic.json_schema import models_json_schema

from anima.http.schemas import AddedData, BootstrapData, CacheReport, Failure, Health, MetricsReport, QueryData, Success
from anima.model import BootstrapRequest, Input, NewMemory, Query

Schema = dict[str, Any]

REF_TEMPLATE: Final = "#/components/schemas/{name}"
WITHOUT_NUL: Final = r"^[^\u0000]*$"
"""PostgreSQL's text cannot hold the character."""


class DescribedRoute(NamedTuple):
    """A route of the document. An answer that is not named is a `Failure`."""

    method: str
    path: str
    summary: str
    answers: Mapping[int, Any]
    body: type[Input] | None = None
    parameters: type[Input] | None = None


ROUTES: Final = (
    DescribedRoute(
        "post",
        "/api/v1/memories/add",
        "Add a memory; 200 when it duplicates one",
        {201: Success[AddedData], 200: Success[AddedData]},
        body=NewMemory,
    ),
    DescribedRoute("post", "/api/v1/memories/query", "Find memories by meaning", {200: Success[QueryData]}, body=Query),
    DescribedRoute(
        "get",
        "/api/v1/memories/bootstrap",
        "Load the memories for a new conversation",
        {200: Success[BootstrapData]},
        parameters=BootstrapRequest,
    ),
    DescribedRoute("get", "/api/v1/meta/cache-stats", "The embedding cache", {200: CacheReport}),
    DescribedRoute("get", "/api/v1/meta/metrics", "Cache and pool", {200: MetricsReport}),
    DescribedRoute("get", "/health", "Whether the process answers", {200: Health}),
    DescribedRoute("get", "/ready", "Whether requests can be served", {200: Health, 503: Health}),
)


def openapi_document() -> Schema:
    inputs = [route.body or route.parameters for route in ROUTES]
    _, definitions = models_json_schema(
        [(each, "validation") for each in inputs if each], by_alias=True, ref_template="#/components/schemas/{model}"
    )
    inputs_by_name = {name: wire_schema(schema) for name, schema in definitions["$defs"].items()}
    kinds = [*(kind for route in ROUTES for kind in route.answers.values()), Failure]
    answers, components = schema_components(kinds, ref_template=REF_TEMPLATE)
    failure, answered = answers[-1], iter(answers)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Anima", "version": "1", "description": "A memory system on PostgreSQL and pgvector."},
        "paths": {route.path: {route.method: operation(route, inputs_by_name, answered, failure)} for route in ROUTES},
        "components": {"schemas": {**components, **inputs_by_name}},
    }


def operation(
    route: DescribedRoute, inputs: Mapping[str, Schema], answered: Iterator[Schema], failure: Schema
) -> Schema:
    described: Schema = {
        "summary": route.summary,
        "responses": {
            **{str(status): answer(str(status), next(answered)) for status in route.answers},
            "default": answer("A failure", failure),
        },
    }
    if route.body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": REF_TEMPLATE.format(name=route.body.__name__)}}},
        }
    if route.parameters:
        described["parameters"] = list(parameters(inputs[route.parameters.__name__]))
    return described


def answer(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def parameters(schema: Schema) -> Iterator[Schema]:
    """A query string cannot say null, so what may be null may be left out."""
    for name, described in schema["properties"].items():
        choices = [choice for choice in described.get("anyOf", [described]) if choice != {"type": "null"}]
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": choices[0]}


def wire_schema(schema: Schema) -> Schema:
    """An input's schema with what its validators add: an optional field may be null, and no text holds NUL."""
    if "properties" not in schema:
        return schema
    required = schema.get("required", ())
    properties = {
        name: without_nul(described if name in required else nullable(described))
        for name, described in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def nullable(schema: Schema) -> Schema:
    choices = schema.get("anyOf", [{name: value for name, value in schema.items() if name != "default"}])
    null = {"type": "null"}
    return {"anyOf": [choice for choice in choices if choice != null] + [null]}


def without_nul(schema: Schema) -> Schema:
    restricted = {**schema}
    if schema.get("type") == "string" and "enum" not in schema:
        restricted["pattern"] = WITHOUT_NUL
    if "anyOf" in schema:
        restricted["anyOf"] = [without_nul(choice) for choice in schema["anyOf"]]
    if "items" in schema:
        restricted["items"] = without_nul(schema["items"])
    return restricted
