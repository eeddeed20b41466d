"""A scenario as the command line wants it."""

from collections.abc import Sequence

from harness.judging.budget_metrics import METRICS
from harness.judging.budgets import SUBJECTS, parse
from harness.measuring import scenario_files
from harness.measuring.scenario import Scenario


def chosen_scenario(name: str, settings: Sequence[str], strategies: str | None, database: str | None) -> Scenario:
    """With what is said instead, and these variants alone where they are named. Raises `UsageError`."""
    chosen = scenario_files.load_scenario(name, settings=settings, strategies=strategies, database=database)
    return chosen if strategies is None else without_others_budgets(chosen)


def without_others_budgets(chosen: Scenario) -> Scenario:
    """Leaves out the budgets on strategies that are not run."""
    held = (None, *chosen.variant_names)
    budgets = tuple(text for text in chosen.budgets if parse(text).variant in held)
    return chosen.model_copy(update={"budgets": budgets})


def without_absent_budgets(part: Scenario, operations: Sequence[str]) -> Scenario:
    """Leaves out the budgets and references on those of the operations that the part does not ask, and on phases."""
    phases = {each.name for each in part.phases}
    asked = {name for counts in part.planned.values() for name in counts}
    gone = set(operations) - {*part.operation_names, *phases}

    def is_kept(text: str) -> bool:
        budget = parse(text)
        of_statement = METRICS[budget.metric].scope == "statement" and budget.subject.partition(".")[0] not in gone
        return budget.subject in SUBJECTS or budget.subject in phases or budget.operation in asked or of_statement

    references = tuple(each for each in part.references if each.get("operation") not in gone)
    return part.model_copy(update={"budgets": tuple(filter(is_kept, part.budgets)), "references": references})
