"""Mistakes in what somebody wrote are told in the words of a file, where pydantic names a type of Python."""

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

DAY: Final = "a day, such as 2026-12-31"
MOMENT: Final = "a moment, such as 2026-12-31T12:00:00Z"
TABLE: Final = "a table"
TEXT: Final = "a text, in quotes"
WHOLE: Final = "a whole number"

WANTED: Final[Mapping[str, str]] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_from_datetime_inexact": DAY,
    "date_from_datetime_parsing": DAY,
    "date_parsing": DAY,
    "date_type": DAY,
    "datetime_from_date_parsing": MOMENT,
    "datetime_parsing": MOMENT,
    "datetime_type": MOMENT,
    "dict_type": TABLE,
    "enum": "{expected}",
    "finite_number": "a number that is finite",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": WHOLE,
    "int_parsing": WHOLE,
    "int_type": WHOLE,
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_attributes_type": TABLE,
    "model_type": TABLE,
    "string_too_long": "a text of no more than {max_length} characters",
    "string_too_short": "a text of {min_length} or more characters",
    "string_type": TEXT,
    "too_long": "a list of no more than {max_length}",
    "too_short": "a list of {min_length} or more",
    "tuple_type": "a list",
}
"""What each kind of mistake's place has to hold; in braces what the model says of it."""


def first_mistake(error: ValidationError) -> str:
    """The first of them with its key: `'expires' has to be a day, such as 2026-12-31`."""
    issue = error.errors(include_url=False)[0]
    return mistake(issue, ".".join(map(str, issue["loc"])))


def mistake(issue: ErrorDetails, key: str) -> str:
    """The key, with what it has to be; the key is empty where all is wrong, and no full stop ends it."""
    named = repr(key) if key else "it"
    match issue["type"]:
        case "extra_forbidden":
            return f"unknown key {named}"
        case "missing":
            return f"{named} is missing"
        case kind if kind in WANTED:
            return f"{named} has to be {WANTED[kind].format_map(issue.get('ctx', {}))}"
        case _:
            return f"{f'{key}: ' if key else ''}{issue['msg'].removeprefix('Value error, ').removesuffix('.')}"
