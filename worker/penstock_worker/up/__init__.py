"""A whole Penstock on one machine: servers, steward, workers, gateway as children of one process.

`penstock up` runs it until Ctrl-C, `penstock demo` for one piece of work. What the files hold:

    plan.py        pure: which providers, which services, with what in their environment
    servers.py     Redis and Postgres: the user's own, or embedded ones; made ready for work
    services.py    one service kept running, and all of them started and stopped in order
    interrupts.py  Ctrl-C and SIGTERM: the first stops in order, the second by force
    terminal.py    what the user sees
    command.py     `penstock up`
"""
