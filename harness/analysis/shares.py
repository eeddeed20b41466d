"""Shares, such as that of requests which failed, and how sure one can be that the true share is over a limit."""

from scipy.stats import binom


def exceeds(occurred: int, n: int, share: float, confidence: float) -> bool:
    """Whether `occurred` of `n` would be this many or more so rarely at this share that the true one is over it."""
    return occurred > 0 and float(binom.sf(occurred - 1, n, share)) <= 1 - confidence
