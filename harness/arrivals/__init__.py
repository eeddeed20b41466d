"""When requests are started."""
