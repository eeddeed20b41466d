"""A small web service that keeps notes in PostgreSQL: `uvicorn notes:app`, with DATABASE_URL in its environment."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

CREATE = "INSERT INTO notes (author, title, text) VALUES ($1, $2, $3) RETURNING id"
READ = "SELECT id, author, title, text FROM notes WHERE id = $1"
NEWEST = "SELECT id, title FROM notes WHERE author = $1 ORDER BY id DESC LIMIT 10"


class Note(BaseModel):
    author: str
    title: str = Field(min_length=1)
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=2) as pool:
        app.state.pool = pool
        yield


def pool_of(request: Request) -> asyncpg.Pool:
    return request.app.state.pool


Pool = Annotated[asyncpg.Pool, Depends(pool_of)]
app = FastAPI(title="Notes", lifespan=lifespan)


@app.get("/health")
async def health(pool: Pool) -> str:
    await pool.fetchval("SELECT 1")
    return "ready"


@app.post("/notes", status_code=201)
async def create(note: Note, pool: Pool) -> dict[str, Any]:
    created = await pool.fetchval(CREATE, note.author, note.title, note.text)
    return {"id": created, "title": note.title}


@app.get("/notes/{number}")
async def read(number: int, pool: Pool) -> dict[str, Any]:
    note = await pool.fetchrow(READ, number)
    if note is None:
        raise HTTPException(404, "There is no such note.")
    return dict(note)


@app.get("/notes")
async def newest(author: str, pool: Pool) -> dict[str, Any]:
    return {"notes": [dict(row) for row in await pool.fetch(NEWEST, author)]}
