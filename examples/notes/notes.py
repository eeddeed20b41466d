"""A small web service that keeps notes in PostgreSQL: `uvicorn notes:app`, with DATABASE_URL in its environment."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CREATE = "INSERT INTO notes (author, title, text) VALUES ($1, $2, $3) RETURNING id"
READ = "SELECT id, author, title, text FROM notes WHERE id = $1"
NEWEST = "SELECT id, title FROM notes WHERE author = $1 ORDER BY id DESC LIMIT 10"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=2) as pool:
        app.state.pool = pool
        yield


async def health(request: Request) -> Response:
    await request.app.state.pool.fetchval("SELECT 1")
    return Response("ready")


async def create(request: Request) -> Response:
    note = await request.json()
    if not note.get("title"):
        return JSONResponse({"error": "A note has a title."}, status_code=422)
    created = await request.app.state.pool.fetchval(CREATE, note["author"], note["title"], note["text"])
    return JSONResponse({"id": created, "title": note["title"]}, status_code=201)


async def read(request: Request) -> Response:
    note = await request.app.state.pool.fetchrow(READ, request.path_params["id"])
    return JSONResponse(dict(note)) if note else JSONResponse({"error": "There is no such note."}, status_code=404)


async def newest(request: Request) -> Response:
    rows = await request.app.state.pool.fetch(NEWEST, request.query_params["author"])
    return JSONResponse({"notes": [dict(row) for row in rows]})


app = Starlette(
    routes=[
        Route("/health", health),
        Route("/notes", create, methods=["POST"]),
        Route("/notes", newest),
        Route("/notes/{id:int}", read),
    ],
    lifespan=lifespan,
)
