"""Flame graphs on a page: each with the table that says the same in words, and the scripts that draw them."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from markupsafe import Markup

from harness.judging.plan_differences import PlanComparison
from harness.judging.profile_differences import ProfileDifference
from harness.showing.profile_tables import culprits_table
from harness.showing.renderers.html.flames import script, specification
from harness.showing.renderers.html.plans import drawn_plans
from harness.showing.renderers.html.templates import style, templates
from harness.showing.tables import Table, printable

DRAW: Final = Markup("""
const draw = graph => {
  if (graph.dataset.drawn) return;
  graph.dataset.drawn = "yes";
  const specification = JSON.parse(document.getElementById(graph.dataset.flame).textContent);
  vegaEmbed(graph, specification, { actions: false, ast: true, renderer: "svg" });
};
for (const graph of document.querySelectorAll("[data-flame]")) {
  const fold = graph.closest("details");
  if (fold && !fold.open) fold.addEventListener("toggle", () => draw(graph));
  else draw(graph);
}
""")
"""A folded graph has no width, and is drawn when it is opened.

`ast` has Vega interpret its expressions, so the page needs no permission to evaluate text as code.
"""


@dataclass(frozen=True, slots=True)
class DrawnDifference:
    """One operation on the page. `specification` is JSON that a script element can hold."""

    key: str
    table: Table
    specification: Markup


def drawn(difference: ProfileDifference) -> DrawnDifference:
    before, after = printable(difference.before.label), printable(difference.after.label)
    graph = specification(difference.changes, before, after, difference.server_changes)
    return DrawnDifference(difference.operation, culprits_table(difference), Markup(graph))  # noqa: S704 -- escaped for a script element.


@cache
def scripts() -> Mapping[str, Sequence[Markup] | Markup]:
    """The scripts, and their hashes for the policy of the page, which runs no other."""
    texts = (script(), DRAW)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return {"scripts": texts, "script_hashes": Markup(" ".join(f"'sha256-{digest}'" for digest in digests))}  # noqa: S704 -- base64.


def difference_page(found: Sequence[ProfileDifference], plans: PlanComparison) -> str:
    """A page of its own for two sides that were profiled. `found` holds one operation at least."""
    before, after = printable(found[0].before.label), printable(found[0].after.label)
    return (
        templates()
        .get_template("difference.html.jinja")
        .render(
            style=style(),
            title=f"{before} against {after}",
            before=before,
            after=after,
            differences=[drawn(each) for each in found],
            plan_differences=drawn_plans(plans),
            **scripts(),
        )
    )
