"""Figures that are advised or taken where nobody states others; they are named on the command line too."""

from typing import Final

ROUNDS_ADVISED: Final = 10
"""Of a comparison."""

SLICES_ADVISED: Final = 20
"""Of a comparison. In parts of a fraction of a second a machine that becomes slower does so for both sides."""

MARGIN: Final = 0.05
"""A change that is smaller than this share of the baseline does not matter."""
