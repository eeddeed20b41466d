"""The kinds of hosts that `--workers` can name."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from harness.measuring.hosts.here import Here
from harness.measuring.hosts.local_cluster import LocalCluster
from harness.measuring.hosts.protocol import HostKind, Hosts
from harness.measuring.hosts.scheduler import RunningCluster
from harness.measuring.hosts.ssh import OverSsh

HERE: Final = "here"

HOSTS: Final[dict[str, HostKind]] = {
    HERE: Here(),
    "local": LocalCluster(),
    "ssh": OverSsh(),
    "tcp": RunningCluster("tcp"),
    "tls": RunningCluster("tls"),
}


def hosts_of(workers: int | str) -> AbstractAsyncContextManager[Hosts]:
    """Raises `UsageError` when they cannot be had."""
    kind, rest = kind_in(workers)
    return kind.open(rest)


def is_here(workers: int | str) -> bool:
    """Says whether they are processes of this machine, which nobody has to reach."""
    return kind_in(workers)[0] is HOSTS[HERE]


def kind_in(workers: int | str) -> tuple[HostKind, str]:
    """The kind, and what is said of it: `4`, `local:4`, `tcp://…`. Raises `ValueError` where there is no such kind."""
    text = str(workers)
    if text.removeprefix("-").isdigit():
        return HOSTS[HERE], text
    name, _, rest = text.partition(":")
    if name == HERE or name not in HOSTS:
        known = ", ".join(["a number", *(f"{each}:…" for each in HOSTS if each != HERE)])
        raise ValueError(f"there are no workers {text!r}. Known: {known}.")
    return HOSTS[name], rest
