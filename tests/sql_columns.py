"""Columns as the catalog of a server describes them."""

from harness.measuring.targets.sql.existing.catalog import TableColumn


def column(name: str, type_name: str = "text", base: str = "text") -> TableColumn:
    """That may be null, and of which nothing else is known."""
    return TableColumn(
        name,
        type_name,
        base,
        is_enum=False,
        is_array=False,
        is_needed=False,
        is_identity=False,
        is_generated=False,
        has_default=False,
        has_sequence=False,
        distinct=0,
        width=0,
        labels=0,
        is_checked=False,
        checks=(),
    )
