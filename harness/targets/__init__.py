"""What can be measured: name to factory."""

from collections.abc import Callable, Mapping
from typing import Final

from harness.targets.anima import AnimaTarget
from harness.targets.http import HttpTarget
from harness.targets.null import NullTarget
from harness.targets.planted import PlantedTarget
from harness.targets.protocol import Target

TARGETS: Final[Mapping[str, Callable[[], Target]]] = {
    "anima": AnimaTarget,
    "http": lambda: HttpTarget(AnimaTarget()),
    "null": NullTarget,
    "planted": lambda: PlantedTarget(AnimaTarget(), "batched"),
}
