"""What is observed while a request is timed."""
