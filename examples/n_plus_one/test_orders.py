"""The same fault by four drivers. Each test fails, and says which statement is repeated, and where."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers);
INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 20) AS n;
INSERT INTO orders SELECT n, n FROM generate_series(1, 20) AS n;
"""
ENOUGH = "statements <= 1"


@pytest.fixture(scope="session")
def budget_schema():
    def make(url):
        with psycopg.connect(url) as connection:
            connection.execute(SCHEMA)

    return make


def test_asyncpg(budget, budget_database):
    from orders_asyncpg import named_orders

    async def measure():
        connection = await asyncpg.connect(budget_database)
        try:
            await budget(ENOUGH).measure_async(named_orders, connection)
        finally:
            await connection.close()

    asyncio.run(measure())


def test_psycopg(budget, budget_database):
    from orders_psycopg import named_orders

    with psycopg.connect(budget_database) as connection:
        budget(ENOUGH).measure(named_orders, connection)


def test_sqlalchemy(budget, budget_database):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from orders_sqlalchemy import named_orders
    from sqlalchemy.orm import Session

    engine = sqlalchemy.create_engine(budget_database.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session:
        budget(ENOUGH).measure(named_orders, session)
    engine.dispose()


def test_django(budget, budget_database):
    django = pytest.importorskip("django")
    from django.conf import settings

    url = urlsplit(budget_database)
    database = {"NAME": url.path[1:], "USER": url.username, "PASSWORD": url.password, "HOST": url.hostname}
    settings.configure(DATABASES={"default": database | {"ENGINE": "django.db.backends.postgresql", "PORT": url.port}})
    django.setup()
    from orders_django import named_orders

    budget(ENOUGH).measure(named_orders)
    django.db.connections.close_all()
