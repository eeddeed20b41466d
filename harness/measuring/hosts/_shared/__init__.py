"""A worker as it runs on its host, whatever connects that to the coordinator."""
