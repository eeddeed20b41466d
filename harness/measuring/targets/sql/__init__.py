"""Somebody's own SQL statements, on their own schema."""
