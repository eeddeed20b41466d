"""`harness history`: one line per run in a file that a repository keeps, and what has changed over them.

For reading once a week, not for a gate: a gate compares two sides that were measured together.
"""
