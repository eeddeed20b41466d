"""Says what several commands need, and no entry."""
