"""Archives taken apart and put together again, with something wrong in them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import orjson

Entries = list[tuple[str, bytes]]
BLOCK = 512


def unpacked(archive: Path) -> Entries:
    """Return the entries as the system's tar would."""
    with tarfile.open(archive) as file:
        return [(m.name, file.extractfile(m).read()) for m in file]  # type: ignore[union-attr]


def header(name: str, size: int, type: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return one header."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = size, type, link
    return entry.tobuf(tarfile.GNU_FORMAT)


def packed(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """Return an archive of these entries."""
    out = io.BytesIO()
    for name, content in entries:
        out.write(header(name, len(content)) + content + bytes(-len(content) % BLOCK))
    return out.getvalue() + bytes(2 * BLOCK)


def content(entries: Entries, name: str) -> bytes:
    """Return an entry's content."""
    return dict(entries)[name]


def at(entries: Entries, name: str) -> int:
    """Return an entry's place."""
    return [found for found, _ in entries].index(name)


def changed(entries: Entries, name: str, content: bytes) -> Entries:
    """Return the entries with another content in one of them."""
    return [(found, content if found == name else old) for found, old in entries]


def signed(entries: Entries) -> Entries:
    """Return the entries with a manifest that fits them."""
    inside = [(n, c) for n, c in entries if n != "manifest.json" and not n.startswith("blobs/")]
    blobs = [c for n, c in entries if n.startswith("blobs/")]
    rows = dict.fromkeys(orjson.loads(content(entries, "about.json"))["tables"], 0)
    for name, c in inside:
        if name.startswith("tables/"):
            rows[name.split("/")[1]] += c.count(b"\n")
    manifest = {
        "entries": {
            n: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in inside
        },
        "rows": rows,
        "blobs": {"count": len(blobs), "bytes": sum(map(len, blobs))},
    }
    text = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return changed(entries, "manifest.json", text)
