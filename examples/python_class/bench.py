"""A shop as a Python class: one async method per operation."""

import asyncpg

from harness.testing import operation

CUSTOMER = {"zipf": {"min": 1, "max": 500}}


class Shop:
    """`open` gets the database and how many users ask side by side."""

    async def open(self, url: str, users: int) -> None:
        self.pool = await asyncpg.create_pool(url, min_size=users, max_size=users)

    async def close(self) -> None:
        await self.pool.close()

    @operation(weight=9, customer_id=CUSTOMER)
    async def latest_orders(self, customer_id: int) -> None:
        await self.pool.fetch(
            "SELECT id FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20", customer_id
        )

    @operation(weight=1, customer_id=CUSTOMER)
    async def place_order(self, customer_id: int) -> None:
        await self.pool.execute(
            "INSERT INTO orders (customer_id, created_at, total) VALUES ($1, now(), 10)", customer_id
        )
