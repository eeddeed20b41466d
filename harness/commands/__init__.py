"""What `harness` can be asked on the command line."""
