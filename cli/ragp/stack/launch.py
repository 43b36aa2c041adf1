"""Become another program that dies with its parent, as another user where asked.

Run as a script (``python -I -S launch.py PARENT SIGNAL OWNER PROGRAM ARG...``), because both steps
must happen between fork and exec, where a threaded parent may not run Python code of its own.
``OWNER`` is ``uid:gid`` or ``-``; ``SIGNAL`` is what the kernel sends when the parent dies.
"""

import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    parent, death_signal, owner, *command = arguments
    if sys.platform == "linux":
        # Imported while Python's own library can still be read: the other user may not reach it.
        import ctypes
    if owner != "-":
        uid, gid = map(int, owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid: the kernel clears the request when credentials change.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        sys.exit("the supervisor has died")
    os.execv(command[0], command)  # noqa: S606 - this is what it is for


if __name__ == "__main__":
    main(sys.argv[1:])
