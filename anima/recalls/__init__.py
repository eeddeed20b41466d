"""Says how the steps of a query reach the server: the registry of the axis."""

from collections.abc import Callable, Mapping
from typing import Final

from anima.recalls.one_statement import OneStatementRecall
from anima.recalls.protocol import Recall, Steps
from anima.recalls.stepwise import StepwiseRecall
from anima.strategy import RecallName

RECALLS: Final[Mapping[RecallName, Callable[[Steps], Recall]]] = {
    "stepwise": StepwiseRecall,
    "one_statement": OneStatementRecall,
}
