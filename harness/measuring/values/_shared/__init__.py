"""Says what several kinds of drawn values share."""
