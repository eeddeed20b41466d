"""A scenario of a Python class: its operations and variants are those that the class declares."""

import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from pydantic import Field, ValidationInfo, model_validator

from harness.errors import nearest
from harness.measuring.beside import DIRECTORY
from harness.measuring.own_scenario import AskedOperation, OwnScenario, OwnVariant
from harness.measuring.scenario import known
from harness.measuring.targets.python.declared import declared_in

EXACT: Final = "exact"
OPERATION: Final = "operation"
"""What `exact` may be told beside the arguments: the name of the operation."""


class PythonOperation(AskedOperation, frozen=True):
    """A method of the class, with what it is called with."""


class PythonVariant(OwnVariant, frozen=True):
    """Says what differs of the database; the class is told the variant's name where its `open` takes a `variant`."""


class PythonScenario(OwnScenario, frozen=True):
    """`target = "module:Class"`: async methods under `@operation`, in this process."""

    target: str = Field(pattern=r"^[\w.]+:\w+$")
    """The class, as module:Class."""
    directory: Path = Path()
    """Where the module lies, seen from the scenario's file; beside it unless stated."""
    operations: Mapping[str, PythonOperation] = {}
    """Other arguments than the class declares, by the method's name."""
    variants: Mapping[str, PythonVariant] = {}
    """What is compared, by name; those that the class declares, or `current` alone."""

    @property
    def is_loaded_here(self) -> bool:
        return True

    @property
    def code(self) -> Sequence[Path]:
        return sorted(self.directory.glob("*.py"))

    @property
    def searched(self) -> Sequence[str]:
        """Those whose arguments its `exact` takes."""
        found = find_class(self.target, self.directory)
        return [name for name, each in self.operations.items() if takes_as_exact(found, tuple(each.drawn))]

    def without_recall(self, operation: str) -> str:
        found = find_class(self.target, self.directory)
        arguments = ", ".join(self.operations[operation].drawn) if operation in self.operations else "…"
        how = f"`async def exact(self, {arguments})`, which returns what an exact search finds, as {operation} does"
        there = "has no method `exact`" if not hasattr(found, EXACT) else f"has an `exact` that is none for {operation}"
        return f"{found.__name__} {there}. Write {how}."

    @property
    def tells_plans(self) -> bool:
        return hasattr(find_class(self.target, self.directory), "plans")

    @model_validator(mode="before")
    @classmethod
    def _declared(cls, document: object, info: ValidationInfo) -> object:
        if not isinstance(document, dict):
            return document
        stated = cast("dict[str, Any]", document)
        context = cast("Mapping[str, Path]", info.context or {})
        directory = Path(os.path.normpath(context.get(DIRECTORY, Path()) / (stated.get("directory") or "")))
        found = find_class(str(stated.get("target", "")), directory)
        operations = declared_in(found)
        if not operations:
            raise ValueError(f"target: {found.__name__} has no operation. Put @operation() over an async method")
        for name in operations:
            if not inspect.iscoroutinefunction(getattr(found, name)):
                raise ValueError(f"target: {found.__name__}.{name} is an operation and not async. Write `async def`")
        for name in ("open", "close"):
            if not inspect.iscoroutinefunction(getattr(found, name, None)):
                raise ValueError(
                    f"target: {found.__name__} has no async method `{name}`. Write `async def {name}(self)`, where it "
                    f"{'connects' if name == 'open' else 'lets go of that'}; it may do nothing"
                )
        own: dict[str, Any] = stated.get("operations") or {}
        for name in own:
            known(f"operation of {found.__name__}", name, operations)
        arguments = {name: {"arguments": dict(each.arguments)} for name, each in operations.items()}
        no_difference: dict[str, Any] = {}
        variants: dict[str, Any] = stated.get("variants") or dict.fromkeys(
            getattr(found, "variants", ()), no_difference
        )
        weights = {name: each.weight for name, each in operations.items()}
        phases = [
            phase if {"operation", "mix"} & phase.keys() else {"mix": weights, **phase}
            for phase in cast("list[dict[str, Any]]", stated.get("phases", []))
        ]
        filled: dict[str, Any] = {
            **stated,
            "directory": directory,
            "operations": {**arguments, **own},
            **({"variants": variants} if variants else {}),
            "phases": phases,
        }
        return filled


def takes_as_exact(target: type, arguments: Sequence[str]) -> bool:
    """Says whether the class has an async `exact` that takes these, beside the operation's name if it wants that."""
    exact = getattr(target, EXACT, None)
    if not inspect.iscoroutinefunction(exact):
        return False
    given = [*arguments, *([OPERATION] if OPERATION in inspect.signature(exact).parameters else [])]
    if all(name.isdigit() for name in arguments):
        return len(inspect.signature(exact).parameters) == len(given) + 1
    try:
        inspect.signature(exact).bind(None, **dict.fromkeys(given))
    except TypeError:
        return False
    return True


def find_class(target: str, directory: Path) -> type:
    """Raises `ValueError` with what is missing."""
    module_name, _, name = target.partition(":")
    place = str(directory.absolute())
    if place not in sys.path:
        sys.path.insert(0, place)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(
            f"target: {module_name} cannot be imported: {error}. It is looked for in {directory}"
        ) from None
    found = getattr(module, name, None)
    if not isinstance(found, type):
        classes = [each for each, value in vars(module).items() if isinstance(value, type)]
        message = f"target: {module_name} has no class {name!r}. {nearest(name, classes)}"
        raise ValueError(message)  # noqa: TRY004 -- the kind that a validation tells
    return found
