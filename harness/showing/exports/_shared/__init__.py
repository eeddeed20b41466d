"""Says what several exports need."""
