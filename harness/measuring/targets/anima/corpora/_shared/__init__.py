"""Says what corpora are made of."""
