"""Says how candidates are found and ranked: the registry of the axis."""

from collections.abc import Mapping
from typing import Final

from anima.searches.augmented import AugmentedSearch
from anima.searches.exact import ExactSearch
from anima.searches.exact_once import ExactOnceSearch
from anima.searches.hnsw import HnswSearch
from anima.searches.protocol import Search
from anima.strategy import SearchName

SEARCHES: Final[Mapping[SearchName, Search]] = {
    "exact": ExactSearch(),
    "exact_once": ExactOnceSearch(),
    "hnsw": HnswSearch(),
    "augmented": AugmentedSearch(),
}
