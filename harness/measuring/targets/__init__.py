"""Says what can be measured: name to the scenario that such a target has, and how it is opened.

A target is imported when it is opened, and none to say what its variants are called: drivers and clients are slow to
import, and most commands need no target or one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.measuring.targets.anima.presets import presets
from harness.measuring.targets.null import NullTarget
from harness.measuring.targets.planted import PlantedTarget, planted_variants
from harness.measuring.targets.protocol import EXTERNAL_VARIANT, Target

if TYPE_CHECKING:
    from harness.measuring.scenario import Scenario
    from harness.measuring.targets.anima.scenario import MemoryScenario
    from harness.measuring.targets.http.scenario import HttpScenario
    from harness.measuring.targets.python.scenario import PythonScenario
    from harness.measuring.targets.sql.scenario import SqlScenario

PLANTED_IN: Final = "batched"
CLASS: Final = "module:Class"


@dataclass(frozen=True, slots=True)
class TargetKind:
    """`open` takes a `scenario` of its type. `listed` are the variants that there are without a scenario, described."""

    scenario: Callable[[], "type[Scenario]"]
    open: Callable[[Any], Target]
    listed: Callable[[], Mapping[str, str]]


def _memory_scenario() -> "type[Scenario]":
    from harness.measuring.targets.anima.scenario import MemoryScenario  # noqa: PLC0415 -- see above

    return MemoryScenario


def _anima(scenario: "MemoryScenario") -> Target:
    from harness.measuring.targets.anima.target import AnimaTarget  # noqa: PLC0415 -- see above

    return AnimaTarget(scenario.loaded, scenario.corpus.size)


def _anima_http(scenario: "MemoryScenario") -> Target:
    from harness.measuring.targets.anima.served import ServedTarget  # noqa: PLC0415 -- see above

    return ServedTarget(_anima(scenario), scenario.service_url)


def _http_scenario() -> "type[Scenario]":
    from harness.measuring.targets.http.scenario import HttpScenario  # noqa: PLC0415 -- see above

    return HttpScenario


def _http(scenario: "HttpScenario") -> Target:
    from harness.measuring.targets.http.target import HttpTarget  # noqa: PLC0415 -- see above

    return HttpTarget(scenario)


def _sql_scenario() -> "type[Scenario]":
    from harness.measuring.targets.sql.scenario import SqlScenario  # noqa: PLC0415 -- see above

    return SqlScenario


def _sql(scenario: "SqlScenario") -> Target:
    from harness.measuring.targets.sql.target import SqlTarget  # noqa: PLC0415 -- see above

    return SqlTarget(scenario)


def _python_scenario() -> "type[Scenario]":
    from harness.measuring.targets.python.scenario import PythonScenario  # noqa: PLC0415 -- see above

    return PythonScenario


def _python(scenario: "PythonScenario") -> Target:
    from harness.measuring.targets.python.target import PythonTarget  # noqa: PLC0415 -- see above

    return PythonTarget(scenario)


TARGETS: Final[dict[str, TargetKind]] = {
    "anima": TargetKind(_memory_scenario, _anima, presets),
    "anima-http": TargetKind(_memory_scenario, _anima_http, lambda: {**presets(), **EXTERNAL_VARIANT}),
    "http": TargetKind(_http_scenario, _http, dict[str, str]),
    "null": TargetKind(_memory_scenario, lambda _: NullTarget(), NullTarget().variants),
    "planted": TargetKind(
        _memory_scenario, lambda chosen: PlantedTarget(_anima(chosen), PLANTED_IN), lambda: planted_variants(PLANTED_IN)
    ),
    "sql": TargetKind(_sql_scenario, _sql, dict[str, str]),
    CLASS: TargetKind(_python_scenario, _python, dict[str, str]),
}


def entry_of(target: str) -> str:
    """A class is named as `bench:Shop`, and everything else as its entry."""
    return CLASS if ":" in target else target


def open_target(scenario: "Scenario") -> Target:
    """Says what the scenario measures, as it wants it."""
    return TARGETS[entry_of(scenario.target)].open(scenario)
