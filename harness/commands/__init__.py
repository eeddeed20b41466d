"""Says what `harness` can be asked on the command line."""
