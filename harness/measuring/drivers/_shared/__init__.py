"""What drivers are hooked with, and what they then tell."""
