"""For authors of a class that is measured: `operation` marks its methods, and `target_contract` tests it.

from harness.testing import operation, target_contract
"""

from harness.measuring.targets.python.contract import target_contract
from harness.measuring.targets.python.declared import operation

__all__ = ["operation", "target_contract"]
