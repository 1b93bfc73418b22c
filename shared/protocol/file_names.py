"""Names of sent files."""

from __future__ import annotations

from shared.protocol.precis import MAX_RAW_FACTOR, tamed_name
from shared.protocol.values import MAX_FILE_NAME, BadValue


def clean_file_name(name: str) -> str:
    """Return the last part of `name` in NFC, without invisible and directional characters.

    Raises:
        BadValue: nothing usable is left, or the name has more than MAX_FILE_NAME bytes.
    """
    bare = name[max(name.rfind("/"), name.rfind("\\")) + 1 :]
    if len(bare) <= MAX_RAW_FACTOR * MAX_FILE_NAME:
        bare = tamed_name(bare, "")
    if bare in ("", ".", ".."):
        raise BadValue("this is no file name")
    if len(bare.encode()) > MAX_FILE_NAME:
        raise BadValue(f"a file name has at most {MAX_FILE_NAME} bytes")
    return bare
