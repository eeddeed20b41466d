"""The guide's code as it stands, rendered in Python and SQL, so that tests can show what goes wrong with it.

Each is as close to the guide as a translation can be, its mistakes included, and nothing but a test may use it. Where
the guide's own text cannot run at all, a second version beside it is corrected just so far that the next mistake shows.
"""
