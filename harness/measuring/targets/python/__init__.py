"""Somebody's own Python class."""
