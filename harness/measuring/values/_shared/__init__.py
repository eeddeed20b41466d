"""What several kinds of drawn values share."""
