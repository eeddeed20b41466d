"""The two ways to start requests."""
