"""Says what a self-test found: how often something happened that is promised to be rare, or to be sure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from rich.table import Table
from scipy.stats import binom

SURE: Final = 0.001
"""A promise counts as broken when keeping it would show such a figure less often than this."""


@dataclass(frozen=True, slots=True)
class Promise:
    kind: Literal["at most", "at least"]
    rate: float

    def __str__(self) -> str:
        return f"{self.kind} {self.rate:.0%}"

    def is_kept(self, occurred: int, trials: int) -> bool:
        """Says whether so few trials could show this by chance, if the promise were only just kept."""
        beyond = (
            binom.sf(occurred - 1, trials, self.rate)
            if self.kind == "at most"
            else binom.cdf(occurred, trials, self.rate)
        )
        return float(beyond) >= SURE


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was judged, `event` what was counted; without a promise the figure is only shown."""

    subject: str
    event: str
    occurred: int
    trials: int
    promise: Promise | None = None

    @property
    def is_kept(self) -> bool:
        return self.promise is None or self.promise.is_kept(self.occurred, self.trials)


def table(findings: Sequence[Finding]) -> Table:
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("Judged", "What happened"):
        rows.add_column(title)
    for title in ("Measured", "Promised"):
        rows.add_column(title, justify="right", no_wrap=True)
    for each in findings:
        measured = f"{each.occurred / each.trials:.1%} of {each.trials:,}"
        style = "" if each.is_kept else "bold red"
        rows.add_row(each.subject, each.event, measured, str(each.promise or "nothing"), style=style)
    return rows


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(each) | {"is_kept": each.is_kept} for each in findings]
