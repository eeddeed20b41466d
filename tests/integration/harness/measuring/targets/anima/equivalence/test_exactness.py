"""PostgreSQL finds the similarities that texts spell, to the last bit: else no boundary could be hit."""

from harness.measuring.targets.anima.equivalence.spelling import cosine_similarity, vector_of
from harness.measuring.targets.anima.equivalence.texts import (
    APART,
    AROUND_DUPLICATE,
    CENTRE,
    DIRECTIONS,
    TOPICS,
    centre,
    variant,
)
from tests.memories import plant, rows, session_on

VARIANTS = [
    variant(topic, nearness, direction, "")
    for topic in range(TOPICS)
    for nearness in (CENTRE, *AROUND_DUPLICATE, *APART)
    for direction in range(DIRECTIONS)
]


async def test_similarities_are_the_same_in_postgresql_and_here(database_url: str) -> None:
    async with session_on(database_url) as session:
        for text in dict.fromkeys((*map(centre, range(TOPICS)), *VARIANTS)):
            await plant(session, vector_of(text), content=text)
        pairs = await rows(
            session,
            "SELECT a.content AS a, b.content AS b, 1 - (a.embedding <=> b.embedding) AS similarity"
            " FROM memories AS a, memories AS b",
        )
    assert len(pairs) > len(VARIANTS) ** 2
    assert [row["similarity"] for row in pairs] == [cosine_similarity(row["a"], row["b"]) for row in pairs]
