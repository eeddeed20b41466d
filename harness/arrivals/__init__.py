"""When requests are started. The registry grows with the arrival models."""
