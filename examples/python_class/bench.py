"""A shop as a Python class: one async method per operation, asked through psycopg 3."""

from psycopg_pool import AsyncConnectionPool

from harness.testing import operation

CUSTOMER = {"zipf": {"min": 1, "max": 500}}
LATEST = "SELECT id FROM orders WHERE customer_id = %s ORDER BY created_at DESC LIMIT 20"
PLACE = "INSERT INTO orders (customer_id, created_at, total) VALUES (%s, now(), 10)"


class Shop:
    """`open` gets the database and how many users ask side by side."""

    async def open(self, url: str, users: int) -> None:
        self.pool = AsyncConnectionPool(url, min_size=users, max_size=users, open=False)
        await self.pool.open(wait=True)

    async def close(self) -> None:
        await self.pool.close()

    @operation(weight=9, customer_id=CUSTOMER)
    async def latest_orders(self, customer_id: int) -> None:
        async with self.pool.connection() as connection:
            await (await connection.execute(LATEST, [customer_id])).fetchall()

    @operation(weight=1, customer_id=CUSTOMER)
    async def place_order(self, customer_id: int) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(PLACE, [customer_id])
