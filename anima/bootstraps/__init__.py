"""Says how the memories for a new conversation are loaded: the registry of the axis."""

from collections.abc import Mapping
from typing import Final

from anima.bootstraps.one_query import OneQueryBootstrap
from anima.bootstraps.protocol import BootstrapLoader
from anima.bootstraps.ranked import RankedBootstrap
from anima.bootstraps.three_queries import ThreeQueriesBootstrap
from anima.strategy import BootstrapName

BOOTSTRAPS: Final[Mapping[BootstrapName, BootstrapLoader]] = {
    "three_queries": ThreeQueriesBootstrap(),
    "one_query": OneQueryBootstrap(),
    "ranked": RankedBootstrap(),
}
