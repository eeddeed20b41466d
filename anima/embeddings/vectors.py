"""The one check that a provider's answer passes before it is compared, cached or stored."""

from typing import cast

import numpy as np

from anima.embeddings.protocol import DIMENSIONS, Vector
from anima.errors import InvalidEmbedding


def validated(components: object, *, provider: str) -> Vector:
    """A read-only vector of the components of a JSON array or a NumPy array; raises `InvalidEmbedding`.

    Single precision decides, as it does in pgvector: where the squared norm under- or overflows there, every
    distance is NaN.
    """
    numbers = _numbers(components, provider)
    if len(numbers) != DIMENSIONS:
        raise _invalid(provider, f"{len(numbers)} components where {DIMENSIONS} are needed")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        vector = np.array(numbers, dtype=np.float32)
        squared_norm = float(np.dot(vector, vector))
    if not np.isfinite(vector).all():
        raise _invalid(provider, "a component that is not a finite number")
    if not 0.0 < squared_norm < float("inf"):
        raise _invalid(provider, "a vector whose norm is zero or too large for single precision")
    vector.setflags(write=False)
    return vector


def _numbers(components: object, provider: str) -> list[float]:
    values = cast("object", components.tolist()) if isinstance(components, np.ndarray) else components
    if not isinstance(values, list):
        raise _invalid(provider, "something that is not a list of numbers")
    items = cast("list[object]", values)
    if any(type(item) not in (int, float) for item in items):
        raise _invalid(provider, "a list in which not every item is a number")
    try:
        return [float(cast("float", item)) for item in items]
    except OverflowError:
        raise _invalid(provider, "a component that is not a finite number") from None


def _invalid(provider: str, answer: str) -> InvalidEmbedding:
    return InvalidEmbedding(
        f"The embedding provider {provider} answered with {answer}. "
        f"Check that its address and model are those of an embedding model of {DIMENSIONS} dimensions."
    )
