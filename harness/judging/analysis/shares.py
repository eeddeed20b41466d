"""Shares, such as that of requests which failed, and how sure one can be that the true share is over a limit."""

import scipy


def exceeds(occurred: int, n: int, share: float, confidence: float, *, design_effect: float = 1.0) -> bool:
    """Says whether `occurred` of `n` would be this many or more so rarely at this share that the true one is over it.

    Korn and Graubard's test (Survey Methodology 24 (1998)): both are divided by the design effect, and the binomial
    tail is the incomplete beta function, which takes the parts of requests that this makes.
    """
    counted, rest = occurred / design_effect, (n - occurred) / design_effect
    return occurred > 0 and float(scipy.special.betainc(counted, rest + 1, share)) <= 1 - confidence
