"""The check of `admin doctor` for disk space."""

from __future__ import annotations

from shared import disk as room
from ws_server.admin.checks import Case, Finding
from ws_server.store.engines.sqlite_file import file_of

GIB = 2**30


async def disk(case: Case) -> list[Finding]:
    """Check that the disks of the data and the database have free space."""
    folders = {case.data.resolve()}
    if (file := file_of(case.database)) is not None:
        folders.add(file.resolve().parent)
    devices = {folder.stat().st_dev: folder for folder in sorted(folders) if folder.is_dir()}
    found = []
    for folder in devices.values():
        free = room.free(folder)
        text = f"{free / GIB:.1f} GiB free in {folder}"
        level = "fail" if free < GIB / 10 else "warn" if free < GIB else "ok"
        hint = "Free space: on a full disk, every message is refused" if level != "ok" else ""
        if folder == case.data.resolve() and free <= (reserve := _reserve(case)):
            level = "fail" if level == "fail" else "warn"
            text += f", of which {reserve / GIB:.1f} are reserved for texts"
            hint = "Free space, or lower --reserve: new files are refused now, texts are not"
        found.append(Finding(level, text, hint))
    if case.running.get("new files", "").startswith("refused") and not found[0].hint:
        hint = "Raise --max-all-files, or free space: new files are refused now"
        found.append(Finding("warn", f"files use {case.running['files']}", hint))
    return found


def _reserve(case: Case) -> int:
    given = case.settings.reserve
    return room.reserve(case.data, None if given is None else given * 2**20)
