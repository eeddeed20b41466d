"""Anybody's own service over HTTP: its scenario, what is sent, and what of the answers is expected and kept."""
