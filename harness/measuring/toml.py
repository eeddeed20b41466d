"""Values as TOML has them, for the scenarios that `harness init` and `harness record` write."""

import json
import re
from typing import Final, cast

BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def inline(value: object) -> str:
    """On one line. What TOML cannot say, which is null, is left out."""
    match value:
        case dict():
            table = cast("dict[str, object]", value)
            entries = (f"{key_of(key)} = {inline(each)}" for key, each in table.items() if each is not None)
            return f"{{ {', '.join(entries)} }}" if value else "{}"
        case list():
            return f"[{', '.join(inline(each) for each in cast('list[object]', value) if each is not None)}]"
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def text_block(text: str) -> str:
    """A text of several lines as it stands, where nothing in it ends it."""
    plain = all(each.isprintable() or each in "\n\t" for each in text)
    return f"'''\n{text}'''" if plain and "'''" not in text and not text.endswith("'") else inline(text)


def key_of(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def slug(text: str) -> str:
    """A name for a scenario."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "service"


def identifier(text: str) -> str:
    """A name that a budget can use."""
    name = re.sub(r"[\W_]+", "_", text, flags=re.ASCII).strip("_") or "operation"
    return name if not name[0].isdigit() else f"_{name}"
