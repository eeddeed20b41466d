"""From a record to a verdict: pure, without clock, socket or PostgreSQL."""
