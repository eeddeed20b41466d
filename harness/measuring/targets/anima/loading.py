"""Says what is in the memory system's tables before a run."""

from dataclasses import dataclass

from harness.measuring.targets.anima.corpora.protocol import CorpusMemory


@dataclass(frozen=True, slots=True)
class LoadedMemory:
    """A memory that is there before the run, in the tier that it has reached."""

    memory: CorpusMemory
    tier: str
    access_count: int
    resonance_phi: float
