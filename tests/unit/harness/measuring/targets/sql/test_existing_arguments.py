"""Which column a placeholder stands beside, and what a statement is without the values in it."""

import pytest

from harness.measuring.targets.sql.existing.arguments import places_of
from harness.measuring.targets.sql.existing.catalog import SqlTable
from harness.measuring.targets.sql.existing.costly import cleaned
from tests.sql_columns import column


def table(oid: int, name: str, *columns: str) -> SqlTable:
    named = {each: column(each) for each in columns}
    return SqlTable(oid, "public", name, 10, False, named, (), (), (), True)


TABLES = (
    table(1, "orders", "id", "customer_id", "status", "created_at", "total"),
    table(2, "customers", "id", "name"),
    table(3, "Staff", "Id", "fullName"),
)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM orders WHERE customer_id = $1", ["orders.customer_id"]),
        ("SELECT * FROM orders AS o WHERE $1 < o.total", ["orders.total"]),
        (
            "SELECT * FROM public.orders o, customers c WHERE c.name ILIKE $1 AND o.id=$2",
            ["customers.name", "orders.id"],
        ),
        ("SELECT * FROM orders WHERE total BETWEEN $1 AND $2", ["orders.total", "orders.total"]),
        ("SELECT * FROM orders WHERE status IN ($1, $2)", ["orders.status", "orders.status"]),
        ("SELECT * FROM orders WHERE id = ANY ($1)", ["orders.id"]),
        ("SELECT * FROM orders WHERE lower(status) = $1", ["orders.status"]),
        ("SELECT * FROM orders WHERE status::text <> $1", ["orders.status"]),
        ("SELECT * FROM orders LIMIT $1 OFFSET $2", ["LIMIT", "OFFSET"]),
        ('SELECT * FROM "Staff" WHERE "fullName" = $1', ["Staff.fullName"]),
        ("INSERT INTO orders (status, total) VALUES ($1, $2), ($3, $4)", ["!status", "!total", "!status", "!total"]),
        ("INSERT INTO orders (status, total) VALUES (upper($1), $2::numeric(10, 2))", ["", "!total"]),
        (
            "INSERT INTO orders (status, total) SELECT $1, id FROM customers WHERE name = $2",
            ["!status", "customers.name"],
        ),
        ("UPDATE orders SET status = $1, total = $2 WHERE id = $3", ["!status", "!total", "orders.id"]),
        ("SELECT * FROM orders WHERE created_at > now() - $1", [""]),
        ("SELECT * FROM other WHERE id = $1", [""]),
    ],
)
def test_a_placeholder_belongs_to_the_column_that_it_stands_beside(sql: str, found: list[str]) -> None:
    """With a mark where it becomes a value of the column."""
    places = places_of(sql, TABLES)
    told = [
        place.counts
        or (f"!{place.column.name}" if place.column and place.is_written else "")
        or (f"{place.table.name}.{place.column.name}" if place.table and place.column else "")
        for _, place in sorted(places.items())
    ]
    assert told == found


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("SELECT 1 FROM t WHERE a > now() - interval $1;", "SELECT 1 FROM t WHERE a > now() - $1::interval"),
        ("PREPARE p (int) AS SELECT $1", "SELECT $1"),
        ("SELECT a FROM t WHERE b = $1 AND c = 'a ''secret'''", "SELECT a FROM t WHERE b = $1 AND c = $2"),
        ("SELECT \"it's\" FROM t /* of='shop' */ WHERE b = E'\\'' -- end", 'SELECT "it\'s" FROM t  WHERE b = $1'),
        ("SELECT a FROM t WHERE b IN ($1 /*, ... */)", "SELECT a FROM t WHERE b IN ($1 )"),
    ],
)
def test_a_statement_keeps_no_value_and_no_comment(query: str, text: str) -> None:
    assert cleaned(query) == text
