"""Says what the strategies of the memory system are called."""

from collections.abc import Mapping

from anima import strategy


def presets() -> Mapping[str, str]:
    """Name to description."""
    return {name: preset.description for name, preset in strategy.PRESETS.items()}
