"""Turns a fresh process into a server that stops with its owner; `process.spawn` runs this script.

Arguments: owner's pid, death signal, `uid:gid` or `-`, program and its arguments.

This is a program of its own because what must happen between fork and exec (credentials, death
signal, signal mask) is not safe to do in Python code of a forked multi-threaded parent. The order
matters: changing credentials clears the death signal, and an owner that died before the death
signal was set is noticed by the changed parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _take_user(user: str) -> None:
    uid, gid = (int(part) for part in user.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _die_with(owner_pid: int, death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != owner_pid:
        raise SystemExit("the owner is gone, not starting")


def main(arguments: list[str]) -> None:
    """Becomes the program in `arguments`; exits with 127 and a line on stderr if it cannot."""
    owner_pid, death_signal, user, *program = arguments
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o077)
    try:
        if user != "-":
            _take_user(user)
        if sys.platform == "linux":
            _die_with(int(owner_pid), int(death_signal))
        os.execv(program[0], program)
    except OSError as error:
        sys.stderr.write(f"FATAL: cannot start {program[0]}: {error}\n")
        raise SystemExit(127) from error


if __name__ == "__main__":
    main(sys.argv[1:])
