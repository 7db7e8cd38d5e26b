"""Real servers without Docker: Valkey and PostgreSQL as children of the process that needs them.

`penstock up`, `penstock demo` and the tests enter an `EmbeddedStack` when no
`PENSTOCK_REDIS_URL` and `PENSTOCK_DATABASE_URL` are set. What the files hold:

    stack.py        the whole: lock, both servers, addresses
    supervise.py    one server kept running: restart with backoff, deliberate stops
    valkey.py       how Valkey is found, started and asked
    postgres.py     how PostgreSQL is initialised, started and asked
    pg_binaries.py  where PostgreSQL's programs are, or are copied to
    home.py         the folder: owner lock, runtime directory for sockets
    leftovers.py    servers that outlived their owner
    process.py      one child process: start, wait, stop
    become.py       the few lines that turn a new process into a server
"""

from __future__ import annotations

from .errors import EmbeddedError
from .stack import EmbeddedStack
from .supervise import Restart

__all__ = ["EmbeddedError", "EmbeddedStack", "Restart"]
