"""Says how semantic duplicates are found: the registry of the axis."""

from collections.abc import Mapping
from typing import Final

from anima.consolidations.augmented import AugmentedConsolidation
from anima.consolidations.full_scan import FullScanConsolidation
from anima.consolidations.nearest import NearestConsolidation
from anima.consolidations.off import NoConsolidation
from anima.consolidations.protocol import Consolidation
from anima.strategy import ConsolidationName

CONSOLIDATIONS: Final[Mapping[ConsolidationName, Consolidation]] = {
    "full_scan": FullScanConsolidation(),
    "nearest": NearestConsolidation(),
    "augmented": AugmentedConsolidation(),
    "off": NoConsolidation(),
}
