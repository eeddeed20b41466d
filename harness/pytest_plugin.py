"""The plugin under the name that an installation from before `anima_harness_pytest` loads."""

from anima_harness_pytest import (  # noqa: F401 -- pytest finds them here.
    _budget_server,
    budget,
    budget_database,
    budget_schema,
    pytest_addoption,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)
