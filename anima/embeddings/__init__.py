"""The embedding providers by name. A new one is a file beside this one, and a line here."""

from collections.abc import Callable

from anima.embeddings.hashing import HashingEmbeddings
from anima.embeddings.local import LocalEmbeddings
from anima.embeddings.ollama import OllamaEmbeddings
from anima.embeddings.openai import OpenAIEmbeddings
from anima.embeddings.protocol import EmbeddingProvider, EmbeddingSettings

PROVIDERS: dict[str, Callable[[EmbeddingSettings], EmbeddingProvider]] = {
    "ollama": OllamaEmbeddings,
    "openai": OpenAIEmbeddings,
    "hashing": lambda _settings: HashingEmbeddings(),
    "local": lambda _settings: LocalEmbeddings(),
}
