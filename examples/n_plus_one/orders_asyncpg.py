"""Orders with the names of their customers, by asyncpg: one statement too many for each order."""

import asyncpg


async def named_orders(connection: asyncpg.Connection) -> list[tuple[int, str]]:
    found = []
    for order in await connection.fetch("SELECT id, customer_id FROM orders"):
        name = await connection.fetchval("SELECT name FROM customers WHERE id = $1", order["customer_id"])
        found.append((order["id"], name))
    return found
