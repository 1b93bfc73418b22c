"""Files of a window: chosen, pasted, sent, fetched, saved, enlarged."""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from pathlib import Path
from typing import Any

import flet as ft

from flet_app.conversation import Conversation, Entry
from flet_app.parts.controls import icon_button
from flet_app.sending import Upload
from flet_app.window import EXPECTED, Window

AT_ONCE = 20
"""Files that can be chosen at a time."""
SOURCES, OFFERS = 600, 20
"""Links to pictures, and to files that are saved, that are kept: more than a screen shows."""


class Attachments:
    """Between the person's files and those of the session."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._pickers: list[ft.FilePicker] = []
        self._coming: dict[str, Upload] = {}
        """What browsers send, by the file's name."""
        self._sources: dict[Path, str] = {}
        """What an image control takes, by the path of a picture; those wanted last are last."""
        self._offers: deque[str] = deque()

    async def pick(self, c: Conversation) -> None:
        """Let the person choose files, and send them."""
        # A picker knows only the files chosen last, which may still be on their way.
        picker = ft.FilePicker(on_upload=self._window.handler(self._uploaded))
        self._pickers.append(picker)
        chosen = await picker.pick_files(allow_multiple=True, cancel_upload_on_window_blur=False)
        uploads = []
        for file in chosen[:AT_ONCE]:
            try:
                if self._window.host.opens_paths and file.path:
                    self._send(c, Path(file.path), file.name)
                else:
                    uploads.append(self._expect(c, file))
            except EXPECTED as error:
                self._refused(file.name, error)
        if uploads:
            await picker.upload(uploads)
        if len(chosen) > AT_ONCE:
            self._window.tell(self._window.texts("too_many_files", most=AT_ONCE))

    async def paste(self, c: Conversation, files: list[Any]) -> None:
        """Send what was pasted, such as a screenshot."""
        for file in files[:AT_ONCE]:
            name = file.name or "pasted.png"
            try:
                upload = self._begin(c, name, len(file.bytes))
                await asyncio.to_thread(upload.path.write_bytes, file.bytes)
                upload.ready(came=False)
            except EXPECTED as error:
                self._refused(name, error)

    def _send(self, c: Conversation, path: Path, name: str) -> None:
        sending = self._window.actions.sending
        if sending is not None:
            sending.file(c, path, name, path.stat().st_size).ready(came=False)

    def _expect(self, c: Conversation, file: ft.FilePickerFile) -> ft.FilePickerUploadFile:
        """Begin to take a file from the browser."""
        upload = self._coming[file.name] = self._begin(c, file.name, file.size)
        return ft.FilePickerUploadFile(upload_url=upload.url, id=file.id, name=file.name)

    def _begin(self, c: Conversation, name: str, size: int) -> Upload:
        """Show a file whose content is yet to be put at its path."""
        host, sending = self._window.host, self._window.actions.sending
        if sending is None:
            raise OSError("nobody is signed in")
        expected = host.expect(name, size)
        try:
            upload = sending.file(c, expected.path, name, size)
        except EXPECTED:
            host.withdraw(expected.url)
            raise
        upload.url, upload.release = expected.url, lambda: host.withdraw(expected.url)
        return upload

    async def _uploaded(self, event: ft.FilePickerUploadEvent) -> None:
        if event.file_name not in self._coming:
            return
        upload = self._coming[event.file_name]
        if event.error:
            del self._coming[event.file_name]
            upload.broke(self._window.texts("upload_broke"))
        elif event.progress == 1.0:
            del self._coming[event.file_name]
            upload.ready(came=True)
        else:
            upload.progress(event.progress or 0.0)

    def _refused(self, name: str, error: Exception) -> None:
        texts = self._window.texts
        self._window.tell(texts("file_failed", name=name, why=texts.explain(error)))

    # What came

    def picture(self, entry: Entry) -> str:
        """Return what an image control takes for a picture; empty until it is here."""
        actions = self._window.actions
        assert entry.file is not None
        if actions.files is None or not entry.file.id:
            return ""
        path = actions.files.path(entry.file.id)
        if path is None or not path.exists():
            actions.files.want(entry)
            return ""
        source = self._sources.pop(path, "") or self._window.host.show(path, entry.file.type)
        self._sources[path] = source
        if len(self._sources) > SOURCES:
            self._window.host.withdraw(self._sources.pop(next(iter(self._sources))))
        return source

    async def cancel(self, c: Conversation, entry: Entry) -> None:
        """Send or fetch a file no further."""
        actions = self._window.actions
        self._coming = {n: u for n, u in self._coming.items() if u.entry is not entry}
        if actions.sending is not None:
            actions.sending.cancel(c, entry)
        if actions.files is not None:
            actions.files.cancel(entry)

    async def save(self, _: Conversation, entry: Entry) -> None:
        """Give a file to the person: by the browser's download, or where a dialog says."""
        assert entry.file is not None
        window, name = self._window, entry.file.name
        path = await self._fetched(entry)
        if not window.host.opens_paths:
            url = window.host.offer(path, name)
            self._offers.append(url)
            if len(self._offers) > OFFERS:
                window.host.withdraw(self._offers.popleft())
            await ft.UrlLauncher().launch_url(ft.Url(url, ft.UrlTarget.SELF))
            return
        target = await ft.FilePicker().save_file(file_name=name)
        if target:
            await asyncio.to_thread(shutil.copyfile, path, target)
            window.tell(window.texts("saved_at", path=target))

    async def enlarge(self, c: Conversation, entry: Entry) -> None:
        """Show a picture as large as the window."""
        assert entry.file is not None
        window, texts = self._window, self._window.texts
        source = self.picture(entry)

        async def close(_: Any) -> None:
            window.close_dialog()

        async def save(_: Any) -> None:
            await self.save(c, entry)

        width, height = window.page.width or 800, window.page.height or 600
        image = ft.Image(
            source,
            fit=ft.BoxFit.CONTAIN,
            width=width * 0.86,
            height=height * 0.74,
            semantics_label=entry.file.name,
        )
        head = ft.Row(
            [
                ft.Text(entry.file.name, expand=True, max_lines=1),
                icon_button(
                    texts("save", name=entry.file.name),
                    ft.Icons.DOWNLOAD_OUTLINED,
                    window.handler(save),
                ),
                icon_button(texts("close"), ft.Icons.CLOSE, window.handler(close)),
            ]
        )
        window.open_dialog(
            ft.AlertDialog(
                content=ft.Column([head, ft.InteractiveViewer(image)], tight=True),
                content_padding=12,
                inset_padding=12,
            )
        )

    async def _fetched(self, entry: Entry) -> Path:
        actions = self._window.actions
        if actions.files is None:
            raise OSError("nobody is signed in")
        return await actions.files.fetch(entry)
