"""Says what a script consists of: the operations of the contract, and what may happen between them."""

from typing import Annotated, TypeAlias

from pydantic import Field

from anima.model import BootstrapRequest, Input, NewMemory, Query, Tier

__all__ = ["BootstrapRequest", "Drain", "Load", "NewMemory", "Query", "ScriptStep", "SoftDelete", "Wait", "source"]


class Load(Input):
    """A memory with a history appears, as a corpus is loaded: nothing is consolidated or detected."""

    content: str
    tier: Annotated[Tier, Field(strict=False)] = Tier.ACTIVE
    access_count: int = 0
    resonance_phi: float = 0.0
    is_catalyst: bool = False


class SoftDelete(Input):
    """The live memory with this content is soft-deleted, if there is one."""

    content: str


class Wait(Input):
    """Time passes. From any step to the next a second passes anyway."""

    seconds: int


class Drain(Input):
    """All accepted background work is done."""


ScriptStep: TypeAlias = NewMemory | Query | BootstrapRequest | Load | SoftDelete | Wait | Drain
"""An add (`NewMemory`) includes a drain: a semantic duplicate that was written is gone only then."""


def source(step: Input) -> str:
    """The Python expression for the step, without what it leaves at its default."""
    given = step.model_dump(mode="json", exclude_defaults=True)
    return f"{type(step).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"
