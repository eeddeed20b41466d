"""Says what tests elsewhere import to have their statements counted: docs/how-to/pytest.md."""

from harness.commands._shared.budget_fixture import BudgetFixture, watch
from harness.commands._shared.sent_statements import count_statement

__all__ = ["BudgetFixture", "count_statement", "watch"]
