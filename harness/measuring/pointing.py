"""Shows a place in a text of several lines, as for a mistake in SQL."""


def pointed_at(text: str, at: int) -> str:
    """The line of the text that has this character, counted from 0, and a caret below it."""
    line_begin = text.rfind("\n", 0, at) + 1
    line = text[line_begin:].split("\n", 1)[0]
    return f"    {line}\n    {' ' * (at - line_begin)}^"
