"""What tests elsewhere import to have their statements counted: docs/how-to/pytest.md."""

from harness.commands._shared.budget_fixture import BudgetFixture, count_statement, watch

__all__ = ["BudgetFixture", "count_statement", "watch"]
