"""Measures a service, SQL or code on a real PostgreSQL, and judges the measurement."""
