"""What can be measured: name to factory."""

from collections.abc import Callable, Mapping
from typing import Final

from harness.measuring.targets.anima.target import AnimaTarget
from harness.measuring.targets.http import HttpTarget
from harness.measuring.targets.null import NullTarget
from harness.measuring.targets.planted import PlantedTarget
from harness.measuring.targets.protocol import Target

TARGETS: Final[Mapping[str, Callable[[], Target]]] = {
    "anima": AnimaTarget,
    "http": lambda: HttpTarget(AnimaTarget()),
    "null": NullTarget,
    "planted": lambda: PlantedTarget(AnimaTarget(), "batched"),
}
