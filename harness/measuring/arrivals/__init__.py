"""The kinds of arrival that a phase's `arrival` can name."""

from typing import TYPE_CHECKING, Annotated, Final, Union

from pydantic import Field

from harness.measuring.arrivals.closed_loop import ClosedLoopSettings
from harness.measuring.arrivals.constant_rate import ConstantRateSettings
from harness.measuring.arrivals.poisson import PoissonSettings
from harness.measuring.arrivals.protocol import ArrivalSettings
from harness.measuring.arrivals.stages import StagesSettings
from harness.measuring.arrivals.trace import TraceSettings

ARRIVALS: Final[dict[str, type[ArrivalSettings]]] = {
    "closed_loop": ClosedLoopSettings,
    "constant_rate": ConstantRateSettings,
    "poisson": PoissonSettings,
    "stages": StagesSettings,
    "trace": TraceSettings,
}

# What a scenario declares as the type of its section: pydantic picks the entry that `kind` names.
if TYPE_CHECKING:
    ArrivalSection = ArrivalSettings
else:
    ArrivalSection = Annotated[Union[tuple(ARRIVALS.values())], Field(discriminator="kind")]  # noqa: UP007 -- no literal.
