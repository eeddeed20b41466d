"""Says what several profilers need."""
