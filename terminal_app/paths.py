"""Paths of files to send, as typed, dropped or pasted."""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

from shared.protocol.commands.messages import size_in_words
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.file_names import clean_file_name
from shared.protocol.values import BadValue, in_words
from shared.protocol.words import first_word, next_word, skip


def typed_path(words: str, here: Path, is_content: bool) -> str | None:
    """Return the path after the recipient; None if it is a name and base64.

    A path is in quotes, or is the rest of the line. Text that begins like a path is one, even if it
    could also be a name and base64, as `/home/me/my file` could.

    Args:
        is_content: The whole line can be parsed as a name and base64.

    Raises:
        BadValue: the quotes are not closed.
    """
    if words[0] == "'":
        return words[1:].partition("'")[0]
    if words[0] == '"':
        word = next_word(words)
        assert word is not None
        return word.text if skip(words, word.end) == len(words) else None
    if words.startswith(("/", "~", "./", "../")) or " " not in words:
        return _unescaped(words)
    if os.path.lexists(here / words):
        return words  # many words are also valid base64
    return words if not is_content and "/" in first_word(words)[0] else None


def _unescaped(words: str) -> str:
    r"""Return a path dropped into the terminal, which may escape blanks as `\ `."""
    if "\\" in words and not os.path.lexists(os.path.expanduser(words)):
        return re.sub(r"\\(.)", r"\1", words)
    return words


def absolute(typed: str, here: Path, head: str) -> Path:
    """Return an absolute path.

    Args:
        head: The part of the line before the path, for the refusal.

    Raises:
        BadValue: the path is relative; the sentence shows the line with the absolute one.
        RuntimeError: the path begins with an unknown user, as in `~nobody/file`.
    """
    path = Path(typed).expanduser()
    if not typed or "\0" in typed:
        raise BadValue("The path is empty or invalid")
    if not path.is_absolute():
        whole = os.path.normpath(here / path)
        raise BadValue(
            f"{as_text(typed)} is a relative path. Type the absolute one: {head} {as_text(whole)}"
        )
    return path


def check_sendable(path: Path, limit: int | None) -> int:
    """Check that a file can be sent; return its size in bytes.

    Args:
        limit: Maximum bytes that the server accepts; None if unknown.

    Raises:
        ChatError: BAD_ARGUMENTS or TOO_LARGE, the file cannot be sent; the sentence names the
        remedy.
    """
    shown = as_text(path)
    try:
        found = path.stat()
    except PermissionError:
        raise _refused(f"You may not look into {as_text(path.parent)}") from None
    except (OSError, ValueError):
        raise _refused(f"There is no file {shown}{_near(path)}") from None
    if stat.S_ISDIR(found.st_mode):
        raise _refused(f"{shown} is a folder. Pack it into one file first, with zip or tar")
    if not stat.S_ISREG(found.st_mode):
        raise _refused(f"{shown} is no ordinary file, so there is nothing to send")
    if not os.access(path, os.R_OK):
        raise _refused(f"You may not read {shown}. Change that with chmod u+r, or copy the file")
    if found.st_size == 0:
        raise _refused(f"{shown} is empty, and empty files cannot be sent")
    if limit is not None and found.st_size > limit:
        size, most = size_in_words(found.st_size), size_in_words(limit)
        raise ChatError(
            ErrorCode.TOO_LARGE, f"{shown} has {size}; this server takes up to {most} a file"
        )
    try:
        clean_file_name(path.name)
    except (BadValue, UnicodeEncodeError):
        raise _refused(f"{shown} has a name that cannot be sent; rename it first") from None
    return found.st_size


def as_text(path: Path | str) -> str:
    """Return a path safe for a terminal, even with bytes that are not UTF-8."""
    return in_words(os.fsencode(path).decode("utf-8", "backslashreplace")).replace("\n", "\\x0a")


def _near(path: Path) -> str:
    """Return a hint: the file that was probably meant, or the missing folder."""
    if not path.parent.is_dir():
        return f": there is no folder {as_text(path.parent)}"
    try:
        names = os.listdir(path.parent)
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, 1)
    return f"; did you mean {as_text(path.parent / near[0])}?" if near else ""


def _refused(why: str) -> ChatError:
    return ChatError(ErrorCode.BAD_ARGUMENTS, why)
