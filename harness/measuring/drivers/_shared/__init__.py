"""Hooks for drivers, and the statements that these then tell of."""
