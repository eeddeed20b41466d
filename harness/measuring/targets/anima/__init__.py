"""Anima as a target: the only importer of `anima`."""
