"""Measures a memory system, or any other target, and judges the measurement."""
