"""Tells what a class says of its operations: `@operation` over each async method that is to be measured."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

Method = TypeVar("Method", bound=Callable[..., Awaitable[object]])

MARK: Final = "__harness_operation__"


@dataclass(frozen=True, slots=True)
class Declared:
    """`arguments` are literals and drawn values by the method's own names for them, as a scenario writes them."""

    weight: float
    arguments: Mapping[str, Any]


def operation(*, weight: float = 1.0, **arguments: object) -> Callable[[Method], Method]:
    """Has the async method be an operation of its name, as often beside the others as its weight says.

    `@operation(weight=3, customer_id={"uniform": {"min": 1, "max": 100}})`; a scenario may say other arguments.
    """

    def mark(method: Method) -> Method:
        setattr(method, MARK, Declared(weight, arguments))
        return method

    return mark


def declared_in(target: type) -> Mapping[str, Declared]:
    """The operations of a class, in the order in which they are written; those of its bases first."""
    found: dict[str, Declared] = {}
    for base in reversed(target.__mro__):
        for name, member in vars(base).items():
            mark = getattr(member, MARK, None)
            if isinstance(mark, Declared):
                found[name] = mark
    return found
