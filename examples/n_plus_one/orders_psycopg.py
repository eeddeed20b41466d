"""Orders with the names of their customers, by psycopg 3: one statement too many for each order."""

import psycopg


def named_orders(connection: psycopg.Connection) -> list[tuple[int, str]]:
    found = []
    for order_id, customer_id in connection.execute("SELECT id, customer_id FROM orders").fetchall():
        (name,) = connection.execute("SELECT name FROM customers WHERE id = %s", [customer_id]).fetchone()
        found.append((order_id, name))
    return found
