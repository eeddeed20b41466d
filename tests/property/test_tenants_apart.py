"""Tenants who ask at the same time, over every route and strategy: nobody is told of anything that is another's."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anima.strategy import BATCHED, FRONTIER, NAIVE, Strategy
from anima.tenants import url_of
from harness.measuring.servers.provisioners.protocol import Server
from tests.memories import session_on, value
from tests.tenancy import TENANTS, TenantService, service_for, tenants_on

pytestmark = pytest.mark.slow

TEXTS = ("a walk by the river", "a walk by the lake", "the tax office")
ROUTES = ("add", "query", "bootstrap", "cache-stats")

Step = tuple[tuple[str, str], tuple[str, str]]
steps = st.lists(
    st.tuples(*(st.tuples(st.sampled_from(ROUTES), st.sampled_from(TEXTS)) for _ in TENANTS)), min_size=2, max_size=8
)
EVERYTHING: list[Step] = [
    (("add", TEXTS[0]), ("query", TEXTS[0])),
    (("query", TEXTS[0]), ("add", TEXTS[0])),
    (("add", TEXTS[1]), ("bootstrap", "")),
    (("bootstrap", ""), ("add", TEXTS[2])),
    (("query", TEXTS[1]), ("query", TEXTS[2])),
    (("cache-stats", ""), ("cache-stats", "")),
]


@dataclass
class Own:
    """What one tenant has done, and so may be told of."""

    name: str
    has_cache: bool
    ids: dict[str, str] = field(default_factory=dict[str, str])
    embedded: set[str] = field(default_factory=set[str])

    def check(self, route: str, text: str, answer: Mapping[str, Any]) -> None:
        if route == "cache-stats":
            assert answer["cache"] is None or answer["cache"]["size"] == len(self.embedded)
            return
        if route != "bootstrap":
            assert (answer["meta"]["embeddingProvider"] == "cache") == (text in self.embedded), "a hit tells"
            self.embedded |= {text} if self.has_cache else set()
        match route:
            case "add":
                memory = answer["data"]["memory"]
                assert answer["data"]["isDuplicate"] == (text in self.ids)
                assert self.ids.setdefault(text, memory["id"]) == memory["id"]
            case "query":
                self._all_own(answer["data"]["memories"])
            case _:
                self._all_own([row for tier in answer["data"]["memories"].values() for row in tier])

    def _all_own(self, rows: list[dict[str, Any]]) -> None:
        assert {(row["content"], row["id"]) for row in rows} == set(self.ids.items())


async def ask(service: TenantService, own: Own, route: str, text: str) -> None:
    headers = service.headers[own.name]
    match route:
        case "add":
            answer = await service.client.post("/api/v1/memories/add", json={"content": text}, headers=headers)
        case "query":
            asked = {"query": text, "similarityThreshold": 0, "conversationId": "c"}
            answer = await service.client.post("/api/v1/memories/query", json=asked, headers=headers)
        case "bootstrap":
            answer = await service.client.get("/api/v1/memories/bootstrap?conversationId=c", headers=headers)
        case _:
            answer = await service.client.get("/api/v1/meta/cache-stats", headers=headers)
    assert answer.is_success, answer.text
    own.check(route, text, answer.json())


@pytest.mark.parametrize(
    "strategy",
    [NAIVE, BATCHED, FRONTIER],
    ids=lambda strategy: strategy.name,
)
def test_no_answer_and_no_row_is_of_another_tenant(
    server: Server, runner: asyncio.Runner, tenants_template: str, strategy: Strategy
) -> None:
    async def take_all(script: list[Step]) -> None:
        name = f"test_{uuid4().hex}"
        url = await server.clone_database(tenants_template, name)
        owns = [Own(tenant, strategy.embedding_cache) for tenant in TENANTS]
        async with tenants_on(url, strategy) as animas, service_for(animas) as service:
            for step in script:
                await asyncio.gather(*(ask(service, own, *asked) for own, asked in zip(owns, step, strict=True)))
                for anima in animas.values():
                    await anima.background.drain()
        for own in owns:
            async with session_on(url_of(url, own.name)) as session:
                for table, column in {
                    "memories": "id",
                    "memory_access_log": "memory_id",
                    "memory_associations": "memory_a_id",
                    "memory_states": "id",
                    "memory_recalls": "unnest(memory_ids)",
                }.items():
                    found = await value(
                        session, f"SELECT array_agg(id::text) FROM (SELECT {column} AS id FROM {table})"
                    )
                    assert set(found or ()) <= set(own.ids.values())
        await server.drop_database(name)

    @settings(max_examples=3)
    @example(EVERYTHING)
    @given(steps)
    def hold(script: list[Step]) -> None:
        runner.run(take_all(script))

    hold()
