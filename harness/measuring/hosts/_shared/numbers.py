"""Numbers of workers, as they are written behind `--workers`."""

from typing import Final

WORKERS_MAX: Final = 64
"""On one machine."""


def number_in(text: str) -> int:
    """Raises `ValueError` where it is none, or none of workers that a machine can have."""
    if not text.removeprefix("-").isdecimal():
        raise ValueError(f"{text!r} is no number of workers")
    if not 1 <= int(text) <= WORKERS_MAX:
        raise ValueError(f"a run has 1 to {WORKERS_MAX} workers on a machine, and not {text}")
    return int(text)
