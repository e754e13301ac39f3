"""One process at a time in a run folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from fastsnf.errors import InputError
from fastsnf.signals.atomic import disk_errors

LOCK_FILE = ".lock"

_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; the file names the owner.

    The kernel drops the lock with its process, so a lock is never stale, however the process died. A file
    system without locks is used without.

    Raises:
        InputError: while another process holds it, naming that process.
    """
    path = folder / LOCK_FILE
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, path)
        owner = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        with disk_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, owner, 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # a platform without POSIX locks
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"expected a run folder that nothing else writes to; got {str(path.parent)!r}, in use by "
            f"{_owner(path)}: wait for it or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
