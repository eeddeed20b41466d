"""Says whether strategies agree: one script of steps, done by each of them and by a reference, compared after each.

`steps` are what a script consists of, `reference` is the contract as a program, `subjects` are strategies on
databases of their own, `trial` compares, `machine` draws scripts and `verification` runs many of them.
"""
