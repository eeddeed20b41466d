"""Says what every section of a scenario is made of: frozen, and without a key that nobody knows."""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue


class Section(BaseModel, frozen=True):
    """A section of a scenario. The docstring under a field is its description in the JSON schema."""

    # Not `use_attribute_docstrings`, which reads and parses the source of every section in every process: a quarter of
    # what it takes to import them, and only the schema needs it.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:  # noqa: ANN401 -- as pydantic has it
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        properties = handler.resolve_ref_schema(schema)["properties"]
        descriptions: dict[str, str | None] = {}
        for each in reversed(cls.__mro__):
            if issubclass(each, Section):
                descriptions |= _docstrings(each.__module__).get(each.__qualname__, {})
        for name, field in cls.model_fields.items():
            if descriptions.get(name):
                properties[field.alias or name].setdefault("description", descriptions[name])
        return schema


@cache
def _docstrings(module: str) -> dict[str, dict[str, str | None]]:
    """What stands under each field, by the classes at the module's top; None where nothing does."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {each.name: dict(_under_fields(each)) for each in tree.body if isinstance(each, ast.ClassDef)}


def _under_fields(definition: ast.ClassDef) -> Iterator[tuple[str, str | None]]:
    for field, after in pairwise([*definition.body, ast.Pass()]):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match after:
                case ast.Expr(value=ast.Constant(value=str() as text)):
                    yield field.target.id, inspect.cleandoc(text)
                case _:
                    yield field.target.id, None
