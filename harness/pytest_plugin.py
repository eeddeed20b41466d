"""The plugin under the name that an installation from before `anima_harness_pytest` loads."""

from anima_harness_pytest import (
    budget,
    budget_database,
    budget_schema,
    budget_server,
    pytest_addoption,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)

__all__ = [
    "budget",
    "budget_database",
    "budget_schema",
    "budget_server",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
]
