"""Says whether clients who meet leave what some serial order of theirs would: `harness verify --concurrent`.

`interleavings` are what is performed and `outcomes` what comes of it; `steering` decides who goes next, `embedder` is
asked for vectors, `stage` performs, `ledger` and `serial_orders` judge, `drawing` draws, and `pursuit` performs many
and shortens what it finds.
"""
