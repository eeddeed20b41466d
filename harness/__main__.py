"""`python -m harness`: the command `harness`."""

from anima_harness_cli import main

main()
