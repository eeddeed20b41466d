"""The small model that runs in the process: what it computes, and what is said where its extra is not installed."""

import math
from collections.abc import AsyncIterator
from types import ModuleType

import numpy as np
import pytest

from anima.embeddings import local
from anima.embeddings.local import LocalEmbeddings
from anima.errors import InvalidInput

# As the package sentence-transformers computes it for all-MiniLM-L6-v2, to four digits.
REFERENCE = [("A man is eating food.", "A man is eating a piece of bread.", 0.7553)]


@pytest.fixture
async def embeddings() -> AsyncIterator[LocalEmbeddings]:
    try:
        provider = LocalEmbeddings()
    except InvalidInput as missing:
        pytest.skip(str(missing))
    yield provider
    await provider.aclose()


@pytest.mark.parametrize(("first", "second", "similarity"), REFERENCE)
async def test_it_computes_what_the_model_is_known_to(
    embeddings: LocalEmbeddings, first: str, second: str, similarity: float
) -> None:
    vectors = [embedded.vector for embedded in await embeddings.embed_many([first, second])]
    assert float(vectors[0] @ vectors[1]) == pytest.approx(similarity, abs=1e-3)
    assert not vectors[0][384:].any()


async def test_a_text_is_read_to_the_models_limit(embeddings: LocalEmbeddings) -> None:
    long = "word " * 10_000
    assert (embeddings.vector(long) == embeddings.vector(long + "another")).all()


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(local, "import_module", missing)
    with pytest.raises(InvalidInput, match=r"needs the package tokenizers.*Install the extra `local`"):
        LocalEmbeddings()


def test_attention_and_norms_are_those_of_the_paper() -> None:
    """A model of random weights, computed token by token, head by head."""
    draw = np.random.default_rng(7)
    size, tokens = 24, [3, 1, 4]
    layers = [f"encoder.layer.{number}" for number in range(local.LAYERS)]
    linear = [f"{layer}.{part}" for layer in layers for part in PARTS]
    norms = ["embeddings.LayerNorm", *(f"{layer}.{part}" for layer in layers for part in NORMS)]
    shapes = {
        "embeddings.word_embeddings.weight": (9, size),
        "embeddings.position_embeddings.weight": (5, size),
        "embeddings.token_type_embeddings.weight": (2, size),
        **{f"{name}.weight": (size, size) for name in linear},
        **{f"{name}.bias": (size,) for name in linear},
        **{f"{name}.{part}": (size,) for name in norms for part in ("weight", "bias")},
    }
    weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    np.testing.assert_allclose(local.states(weights, tokens), by_the_token(weights, tokens), rtol=2e-3, atol=2e-3)


PARTS = (
    *(f"attention.self.{part}" for part in ("query", "key", "value")),
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


def by_the_token(weights: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    exact = {name: weight.astype(float) for name, weight in weights.items()}

    def linear(name: str, state: np.ndarray) -> np.ndarray:
        return np.asarray(exact[f"{name}.weight"] @ state + exact[f"{name}.bias"])

    def norm(name: str, state: np.ndarray) -> np.ndarray:
        scaled = (state - state.mean()) / math.sqrt(state.var() + local.EPSILON)
        return np.asarray(scaled * exact[f"{name}.weight"] + exact[f"{name}.bias"])

    def gelu(value: float) -> float:
        return value * (1 + math.erf(value / math.sqrt(2))) / 2

    table = "embeddings.{}_embeddings.weight".format
    states = [
        norm(
            "embeddings.LayerNorm",
            exact[table("word")][t] + exact[table("position")][p] + exact[table("token_type")][0],
        )
        for p, t in enumerate(tokens)
    ]
    for number in range(local.LAYERS):
        layer = f"encoder.layer.{number}"
        asked, keys, values = (
            [np.split(linear(f"{layer}.attention.self.{part}", state), local.HEADS) for state in states]
            for part in ("query", "key", "value")
        )
        attended: list[np.ndarray] = []
        for place in range(len(tokens)):
            heads: list[np.ndarray] = []
            for head in range(local.HEADS):
                query = asked[place][head]
                shares = np.array([math.exp(query @ key[head] / math.sqrt(len(query))) for key in keys])
                heads.append(
                    sum(share * value[head] for share, value in zip(shares / shares.sum(), values, strict=True))
                )
            attended.append(linear(f"{layer}.attention.output.dense", np.concatenate(heads)))
        states = [norm(f"{layer}.{NORMS[0]}", old + new) for old, new in zip(states, attended, strict=True)]
        inner = [np.array([gelu(x) for x in linear(f"{layer}.intermediate.dense", state)]) for state in states]
        outer = [linear(f"{layer}.output.dense", state) for state in inner]
        states = [norm(f"{layer}.{NORMS[1]}", old + new) for old, new in zip(states, outer, strict=True)]
    return np.stack(states)
