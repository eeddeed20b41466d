"""The right-hand side of a budget: a quantity with its unit, a law in what a request returned, or an index's name.

A law is integer arithmetic (`2 + ceil(n / 500)`): + - * /, parentheses, ceil and floor, and the names in `VARIABLES`.
Python's own parser reads it, everything but these nodes is refused, and it is computed in fractions, so that
`ceil(n / 500)` does not depend on how a float rounds.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal, assert_never

from harness.errors import UsageError, nearest
from harness.quantities import Unit

Comparator = Literal["<=", ">=", "uses"]

UNITS: Final[Mapping[str, tuple[Unit, Fraction]]] = {
    "µs": ("time", Fraction(1, 1_000_000)),
    "ms": ("time", Fraction(1, 1000)),
    "s": ("time", Fraction(1)),
    "%": ("share", Fraction(1, 100)),
    "/s": ("rate", Fraction(1)),
    "/min": ("rate", Fraction(1, 60)),
    "B": ("amount", Fraction(1)),
    "kB": ("amount", Fraction(1000)),
    "MB": ("amount", Fraction(1_000_000)),
}
VARIABLES: Final[Mapping[str, str]] = {
    "n": "the results of that request",
    "promotions": "the promotions of that request",
}
_FUNCTIONS: Final[Mapping[str, Callable[[Fraction], int]]] = {"ceil": math.ceil, "floor": math.floor}
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: Fraction.__add__,
    ast.Sub: Fraction.__sub__,
    ast.Mult: Fraction.__mul__,
    ast.Div: Fraction.__truediv__,
}
SPELLINGS: Final[Mapping[str, str]] = {"us": "µs", "\N{GREEK SMALL LETTER MU}s": "µs"}
"""Of one unit: as keyboards have it, and with the letter in place of the sign, which looks the same."""

_DIGITS: Final = r"(?P<number>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)"
_QUANTITY: Final = re.compile(rf"{_DIGITS}\s*(?P<unit>%|/[^\W\d]+|[^\W\d]+)")
_NUMBER: Final = re.compile(_DIGITS)
_INDEX: Final = re.compile(r"\w+")
_NOT_ARITHMETIC: Final = re.compile(r"[^\w +\-*/().]|[^\x00-\x7f]|(?<=\d)[^\W\d]")
_LENGTH_MAX: Final = 200


def misread(text: str, column: int, message: str, width: int = 1) -> UsageError:
    """An error that points at the place; `column` counts from 0, the message from 1."""
    return UsageError(f"budget, column {column + 1}: {message}\n  {text}\n  {' ' * column}{'^' * max(width, 1)}")


@dataclass(frozen=True, slots=True)
class Limit:
    """Says what a measured value is held to. `text` is canonical: it reads back as an equal limit."""

    comparator: Comparator
    text: str
    unit: Unit

    @property
    def variables(self) -> frozenset[str]:
        """The names of `VARIABLES` that the law needs; empty for a plain quantity."""
        return _variables(self.text)

    def value(self, variables: Mapping[str, int] | None = None) -> float:
        """In seconds, as a ratio, per second, or as the number that stands there."""
        assert self.comparator != "uses", "the name of an index has no value"
        quantity = _QUANTITY.fullmatch(self.text)
        if quantity:
            return float(Fraction(quantity["number"]) * UNITS[quantity["unit"]][1])
        if _NUMBER.fullmatch(self.text):
            return float(Fraction(self.text))
        return float(_computed(_tree(self.text), variables or {}))

    def excess(self, measured: float, variables: Mapping[str, int] | None = None) -> float:
        """Says how far on the wrong side of the limit a value lies; zero or less where it holds."""
        over = measured - self.value(variables)
        return over if self.comparator == "<=" else -over


def read_limit(text: str, span: slice, comparator: Comparator, metric: str, unit: Unit) -> Limit:
    """The limit that stands at `span` of a budget's text, for a metric of this unit."""
    source = text[span].strip()
    column = span.start + len(text[span]) - len(text[span].lstrip())
    if not source:
        wanted = "the name of an index" if unit == "index" else "a limit, such as 300ms, 80% or 2 + ceil(n / 500)"
        raise misread(text, column, f"expected {wanted}.")
    if unit == "index":
        return _read_index(text, column, source)
    quantity = _QUANTITY.match(source)
    if quantity:
        _check_quantity(text, column, metric, unit, quantity)
        return Limit(comparator, _plain(quantity) + _unit(quantity), unit)
    number = _NUMBER.fullmatch(source)
    if number and (unit == "amount" or (unit == "count" and "," in source)):
        return Limit(comparator, _plain(number), unit)
    if unit != "count":
        raise misread(text, column, _unit_wanted(metric, unit, source), len(source))
    return Limit(comparator, ast.unparse(_read_law(text, column, source)), unit)


def _plain(found: re.Match[str]) -> str:
    """A number without the commas that reports write it with."""
    return found["number"].replace(",", "")


def _unit(found: re.Match[str]) -> str:
    return SPELLINGS.get(found["unit"], found["unit"])


def read_time(text: str, span: slice) -> float:
    """The time that stands at `span` of a budget's text, in seconds: not a limit, but a part of what is limited."""
    source = text[span].strip()
    column = span.start + len(text[span]) - len(text[span].lstrip())
    found = _QUANTITY.fullmatch(source)
    kind, factor = UNITS.get(_unit(found), (None, 1)) if found else (None, 1)
    if found is None or kind != "time" or float(_plain(found)) == 0:
        raise misread(text, column, "expected a time over 0, such as 10s or 500ms.", len(source))
    return float(Fraction(_plain(found)) * factor)


def _read_index(text: str, column: int, source: str) -> Limit:
    if not _INDEX.fullmatch(source):
        raise misread(text, column, "expected the name of one index: letters, digits and _.", len(source))
    return Limit("uses", source, "index")


def _check_quantity(text: str, column: int, metric: str, unit: Unit, found: re.Match[str]) -> None:
    name, rest = _unit(found), found.string[found.end() :]
    known = UNITS.get(name, ("amount", 1))[0]
    if unit == known == "amount" and not (name in UNITS and "bytes" in metric):
        message = f"{metric} has its unit in its name: write a number without one."
        raise misread(text, column + found.start("unit"), message, len(name))
    if name not in UNITS:
        message = f"unknown unit {name!r}. {nearest(name, UNITS)}"
        raise misread(text, column + found.start("unit"), message, len(name))
    if known != unit:
        raise misread(text, column, _unit_wanted(metric, unit, _plain(found)), found.end())
    if rest:
        raise misread(text, column + found.end(), "nothing may follow a limit with a unit.", len(rest))


def _unit_wanted(metric: str, unit: Unit, written: str) -> str:
    """The way out of a missing or unfitting unit, with the number that was written."""
    number = written if re.fullmatch(r"\d+(\.\d+)?", written) else "300"
    percent = f"{float(number) * 100:g}" if float(number) < 1 else number
    match unit:
        case "time":
            return f"{metric} is a time: write {number}ms or {number}s."
        case "share":
            return f"{metric} is a share: write {percent}%."
        case "count":
            return f"{metric} is a count: write {number} without a unit."
        case "rate":
            return f"{metric} is a rate: write {number}/s."
        case "amount":
            return f"{metric} has its unit in its name: write {number} without one."
        case "index":
            raise AssertionError("an index has no unit")
        case _:
            assert_never(unit)


def _read_law(text: str, column: int, source: str) -> ast.expr:
    if len(source) > _LENGTH_MAX:
        raise misread(text, column, f"the limit is longer than {_LENGTH_MAX} characters: state a simpler law.")
    stray = _NOT_ARITHMETIC.search(source)
    if stray:
        raise misread(text, column + stray.start(), f"{stray[0]!r} has no place in a limit. {_ARITHMETIC}")
    try:
        expression = _tree(source)
    except SyntaxError as error:
        place = error.offset - 1 if error.offset else len(source)
        raise misread(text, column + place, f"not an arithmetic expression. {_ARITHMETIC}") from error
    _check(text, column, expression)
    return expression


_ARITHMETIC: Final = f"A limit is whole numbers, {', '.join(VARIABLES)}, + - * /, ceil( ) and floor( )."


def _check(text: str, column: int, node: ast.expr) -> None:
    """Refuses every node that is not plain arithmetic, at its place in the text."""
    match node:
        case ast.Constant(value=int()):
            return
        case ast.Name(id=name):
            if name not in VARIABLES:
                known = [*VARIABLES, *_FUNCTIONS]
                raise misread(
                    text, column + node.col_offset, f"unknown name {name!r}. {nearest(name, known)}", len(name)
                )
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            # A divisor that is never 0 makes every law hold a value for every request.
            if isinstance(op, ast.Div) and not (isinstance(right, ast.Constant) and right.value):
                raise misread(text, column + right.col_offset, "divide by a whole number other than 0, as in n / 500.")
            _check(text, column, left)
            _check(text, column, right)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
            if name not in _FUNCTIONS:
                raise misread(
                    text,
                    column + node.col_offset,
                    f"unknown function {name!r}. {nearest(name, _FUNCTIONS)}",
                    len(name),
                )
            _check(text, column, argument)
        case _:
            raise misread(text, column + node.col_offset, f"not allowed in a limit. {_ARITHMETIC}")


@lru_cache(maxsize=256)
def _tree(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


@lru_cache(maxsize=256)
def _variables(source: str) -> frozenset[str]:
    if _QUANTITY.fullmatch(source):
        return frozenset()
    return frozenset(node.id for node in ast.walk(_tree(source)) if isinstance(node, ast.Name)) & VARIABLES.keys()


def _computed(node: ast.expr, variables: Mapping[str, int]) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.Name(id=name):
            return Fraction(variables[name])
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_computed(left, variables), _computed(right, variables))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return Fraction(_FUNCTIONS[name](_computed(argument, variables)))
        case _:
            raise AssertionError(f"{ast.dump(node)} passed the check")
