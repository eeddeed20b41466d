"""How well the offline embedding providers find what is relevant, and what a text costs them.

    OPENBLAS_NUM_THREADS=1 python benchmarks/embeddings.py memories.jsonl queries.jsonl

The files are those of a corpus with relevance judgements: memories with `content`, `id` and `source`, and queries with
the ids of `relevant` memories and a `conversation_id`, which is the memories' source. `local` needs its extra.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from anima.assembly import first_choice
from anima.embeddings.protocol import EmbeddingProvider, EmbeddingSettings


async def vectors(provider: EmbeddingProvider, texts: list[str]) -> np.ndarray:
    return np.stack([(await provider.embed(text)).vector for text in texts])


async def measure(name: str, memories: list[dict[str, Any]], queries: list[dict[str, Any]]) -> None:
    provider = first_choice(EmbeddingSettings(provider=name))
    await provider.embed("The first text is not counted.")
    started_s = time.process_time()
    stored = await vectors(provider, [memory["content"] for memory in memories])
    text_ms = (time.process_time() - started_s) / len(memories) * 1000
    asked = await vectors(provider, [query["query"] for query in queries])
    await provider.aclose()

    places = {memory["id"]: place for place, memory in enumerate(memories)}
    ranks: list[int] = []
    for query, similarities in zip(queries, asked @ stored.T, strict=True):
        order = list(np.argsort(-similarities))
        ranks += [order.index(places[memory_id]) for memory_id in query["relevant"] if memory_id in places]
    recalls = ", ".join(f"{limit}: {np.mean([rank < limit for rank in ranks]):.0%}" for limit in (1, 5, 10, 20))
    print(f"{name:8} {text_ms:6.2f} ms of processor time a text; relevant memories among the first {recalls}")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memories", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--conversations", type=int, default=1, help="how many of them, the first")
    parser.add_argument("--provider", action="append", choices=("hashing", "local"))
    chosen = parser.parse_args()
    queries = lines(chosen.queries)
    conversations = list(dict.fromkeys(query["conversation_id"] for query in queries))[: chosen.conversations]
    memories = [memory for memory in lines(chosen.memories) if memory["source"] in conversations]
    queries = [query for query in queries if query["conversation_id"] in conversations]
    print(f"{len(memories)} memories, {len(queries)} queries")
    for name in chosen.provider or ("hashing", "local"):
        asyncio.run(measure(name, memories, queries))


if __name__ == "__main__":
    main()
