"""From a scenario to a record: what touches clocks, sockets and PostgreSQL."""
