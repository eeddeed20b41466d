"""Says how co-occurrences are recorded: the registry of the axis."""

from collections.abc import Mapping
from typing import Final

from anima.associations.batched import BatchedAssociations
from anima.associations.logged import LoggedAssociations
from anima.associations.per_pair import PerPairAssociations
from anima.associations.protocol import Associations
from anima.strategy import AssociationName

ASSOCIATIONS: Final[Mapping[AssociationName, Associations]] = {
    "per_pair": PerPairAssociations(),
    "batched": BatchedAssociations(),
    "logged": LoggedAssociations(),
}
