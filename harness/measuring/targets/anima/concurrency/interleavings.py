"""Says what a run of several clients consists of, as values that print as the program which performs them again."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from anima.model import Input, NewMemory, Query
from harness.measuring.targets.anima.equivalence.steps import Drain, Load, Wait, source

__all__ = [
    "Client",
    "ConnectionLoss",
    "Drain",
    "FailWork",
    "Hold",
    "Interleaving",
    "Load",
    "NewMemory",
    "ProviderOutage",
    "Query",
]
__all__ += ["ChangeModel", "Wait", "WorkOnce", "program"]

WorkName = Literal["consolidation", "catalyst_detection", "co_occurrence", "fold", "rekey"]
Loss = Literal["killed", "lost_before", "lost_after"]


class WorkOnce(Input):
    """A background worker does what is due of this kind, once; nothing where the strategy has no such work."""

    kind: WorkName


class Hold(Input):
    """A client of its own locks the memory with this content in one statement, and lets go in the next.

    With `pair_with` it locks the pair of these two instead.
    """

    content: str
    pair_with: str | None = None


class FailWork(Input):
    """Work of this kind fails as often as it is tried; a person has it tried anew when all else is done."""

    kind: WorkName


class ChangeModel(Input):
    """From now on the provider embeds with another model, whose vectors are others."""

    model: str


class ProviderOutage(Input):
    """The provider's next calls fail."""

    calls: int = 1


ClientStep: TypeAlias = NewMemory | Query | WorkOnce | Hold | Wait | ProviderOutage
SetupStep: TypeAlias = Load | ClientStep | Drain | FailWork | ChangeModel


class ConnectionLoss(BaseModel):
    """Something happens to a client's connection at one of its waits for the server.

    `lost_before`: it breaks, and the statement is never sent. `lost_after`: it breaks once the server has done it, as
    when the answer to a COMMIT is lost. `killed`: so does the client, which does nothing more. `at` counts its waits
    from 1, or means its first COMMIT.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    loss: Loss
    at: int | Literal["commit"] = "commit"


class Client(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    steps: Annotated[tuple[ClientStep, ...], Field(strict=False)] = ()
    disruption: ConnectionLoss | None = None


class Interleaving(BaseModel):
    """`setup` is done by one after the other; then the clients start together.

    `turns` says who goes next where several could: a client's number, or the next one after it that is held. After the
    last of them it is the first. None: nobody is held, and the machine decides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    setup: tuple[SetupStep, ...] = ()
    clients: tuple[Client, ...]
    turns: tuple[int, ...] | None = ()
    same_time: bool = False
    """Whether what the clients add has been given the same time: ids decide which is older."""

    def adds(self) -> Iterator[NewMemory]:
        for step in (*self.setup, *(step for client in self.clients for step in client.steps)):
            if isinstance(step, NewMemory):
                yield step


def program(interleaving: Interleaving) -> str:
    """The Python expression that makes it."""
    clients = "".join(f"        {_client(client)},\n" for client in interleaving.clients)
    setup = "".join(f"        {source(step)},\n" for step in interleaving.setup)
    times = "    same_time=True,\n" if interleaving.same_time else ""
    return (
        f"Interleaving(\n    setup=[\n{setup}    ],\n    clients=[\n{clients}    ],\n"
        f"    turns={_turns(interleaving.turns)},\n{times})"
    )


def kinds(interleaving: Interleaving) -> Sequence[str]:
    """The names that the program uses."""
    steps = [*interleaving.setup, *(step for client in interleaving.clients for step in client.steps)]
    disrupted = {"ConnectionLoss" for client in interleaving.clients if client.disruption}
    return sorted({type(step).__name__ for step in steps} | disrupted | {"Interleaving", "Client"})


def _client(client: Client) -> str:
    steps = f"steps=[{', '.join(map(source, client.steps))}]"
    if client.disruption is None:
        return f"Client({steps})"
    given = client.disruption.model_dump(exclude_defaults=True)
    return (
        f"Client({steps}, disruption=ConnectionLoss({', '.join(f'{name}={value!r}' for name, value in given.items())}))"
    )


def _turns(turns: Sequence[int] | None) -> str:
    return "None" if turns is None else repr(list(turns))
