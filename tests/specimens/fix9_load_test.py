"""Fix 9: the k6 script. An iteration of one virtual user draws three times, then sleeps for a second."""

from collections.abc import Callable, Iterator

SLEEP_S = 1.0


def iteration(random: Callable[[], float]) -> list[str]:
    requests = []
    if random() < 0.2:
        requests.append("add")
    if random() < 0.6:
        requests.append("query")
    if random() < 0.2:
        requests.append("bootstrap")
    return requests


def closed_loop(answered_at: Callable[[float], float], until_s: float) -> Iterator[tuple[float, float]]:
    """When one user's requests start and end, if one that starts at a moment is answered at another."""
    now_s = 0.0
    while now_s < until_s:
        ended_s = answered_at(now_s)
        yield now_s, ended_s
        now_s = ended_s + SLEEP_S
