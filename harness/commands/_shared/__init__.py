"""What several commands need, and no entry."""
