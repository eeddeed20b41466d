"""What can be measured: name to factory, and name to the variants that it has.

A target is imported when it is made, and none to say what its variants are called: drivers and clients are slow to
import, and most commands need no target or one.
"""

from collections.abc import Callable, Mapping
from typing import Final

from harness.measuring.targets.anima.presets import presets
from harness.measuring.targets.null import NullTarget
from harness.measuring.targets.planted import PlantedTarget, planted_variants
from harness.measuring.targets.protocol import EXTERNAL_VARIANT, Target

PLANTED_IN: Final = "batched"


def _anima() -> Target:
    from harness.measuring.targets.anima.target import AnimaTarget  # noqa: PLC0415 -- see above

    return AnimaTarget()


def _http() -> Target:
    from harness.measuring.targets.anima.target import AnimaTarget  # noqa: PLC0415 -- see above
    from harness.measuring.targets.http import HttpTarget  # noqa: PLC0415 -- see above

    return HttpTarget(AnimaTarget())


TARGETS: Final[Mapping[str, Callable[[], Target]]] = {
    "anima": _anima,
    "http": _http,
    "null": NullTarget,
    "planted": lambda: PlantedTarget(_anima(), PLANTED_IN),
}

VARIANTS: Final[Mapping[str, Callable[[], Mapping[str, str]]]] = {
    "anima": presets,
    "http": lambda: {**presets(), **EXTERNAL_VARIANT},
    "null": NullTarget().variants,
    "planted": lambda: planted_variants(PLANTED_IN),
}
