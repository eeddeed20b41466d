"""Statistics on plain numbers: pure, and importing nothing of ours.

`scipy` imports its parts at their first use, since that takes longer than all that most commands do.
"""

import scipy


def ready() -> None:
    """Imports the parts of `scipy` that are needed now, and not at their first use."""
    _ = scipy.fft, scipy.signal, scipy.special, scipy.stats
