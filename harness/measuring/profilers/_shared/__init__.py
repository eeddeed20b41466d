"""What several profilers need."""
