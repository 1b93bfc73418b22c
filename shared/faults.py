"""Disk errors in words: the path, the error, and the remedy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

HINTS = {
    errno.EACCES: "Run this as the account that owns it, or give this account the right",
    errno.EPERM: "Run this as the account that owns it, or give this account the right",
    errno.ENOSPC: "Make room on that disk, or name a place on another one",
    errno.EDQUOT: "Make room, or have the quota of this account raised",
    errno.EROFS: "Mount it for writing, or name a place on another file system",
    errno.ENOTDIR: "A part of this path is a file; name a folder",
    errno.EEXIST: "A file is there; name a folder",
    errno.EISDIR: "A folder is there; name a file",
    errno.ENOENT: "Look for a typing mistake in the path",
    errno.ENAMETOOLONG: "Name a shorter path",
    errno.ELOOP: "Its symbolic links lead in a circle; mend them",
    errno.EIO: "The disk fails; look into the system's log",
    errno.EMFILE: "Allow this process more open files (ulimit -n)",
    errno.ENFILE: "The system has too many open files; close some programs",
    errno.EXDEV: "Its folders are on two file systems; put them on one",
}


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path for a line of text, with unprintable characters escaped."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)[1:-1]


def explained(error: OSError, path: str | os.PathLike[str] | None = None) -> str:
    """Return the system's error about a path, and the remedy.

    Args:
        path: The path for errors that do not name one.
    """
    where = error.filename if isinstance(error.filename, str | os.PathLike) else path
    hint = HINTS.get(error.errno or 0, "")
    if error.errno == errno.ENOSPC and where is not None and _lacks_names(Path(where)):
        hint = "Its file system has no inode left: delete files that nobody needs"
    text = error.strerror or str(error)
    if where is not None:
        text = f"{shown(where)}: {text}"
    return f"{text}. {hint}" if hint else text


def _lacks_names(path: Path) -> bool:
    """Tell whether the file system of a path has no inodes left."""
    for folder in (path, *path.absolute().parents):
        try:
            found = os.statvfs(folder)
        except OSError:
            continue
        return found.f_files > 0 and found.f_favail == 0
    return False
