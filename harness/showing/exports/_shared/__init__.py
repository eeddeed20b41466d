"""What several exports need."""
