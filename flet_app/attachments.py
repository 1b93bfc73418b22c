"""The files of a window: choosing, pasting, sending, fetching, saving and enlarging them."""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flet as ft

from flet_app.conversation import AppConversation, BubbleEntry
from flet_app.parts.controls import icon_button
from flet_app.sending import FileUpload
from flet_app.window import EXPECTED, Window
from shared.bounded import BoundedDict

MAX_CHOSEN_FILES = 20
"""Files that can be chosen at a time."""
STALLED_SECONDS = 40.0
"""Seconds without progress after which a browser that was away sends a file no more."""
MAX_SOURCES, MAX_OFFERS = 600, 20
"""Links to pictures, and to files that are saved, that are kept: more than a screen shows."""


class Picked:
    """Files chosen in one dialog. A picker knows only its last choice and reports files by name."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.picker = ft.FilePicker(on_upload=window.handler(self._uploaded))
        self.coming: dict[str, FileUpload] = {}
        self._wanted: list[ft.FilePickerUploadFile] = []

    def expect(self, file: ft.FilePickerFile, upload: FileUpload) -> None:
        """Queue a file that the browser will upload."""
        self.coming[file.name] = upload
        self._wanted.append(
            ft.FilePickerUploadFile(upload_url=upload.url, id=file.id, name=file.name)
        )

    async def upload(self) -> None:
        """Start the uploads; returns before they end."""
        await self.picker.upload(self._wanted)

    def __iter__(self) -> Iterator[tuple[str, FileUpload]]:
        return iter(list(self.coming.items()))

    def give_up(self, name: str, done: float | None) -> None:
        """Give a file up if its upload has not progressed beyond this."""
        upload = self.coming.get(name)
        if upload is not None and upload.entry.done == done:
            del self.coming[name]
            upload.broke(self._window.texts("upload_broke"))

    async def _uploaded(self, event: ft.FilePickerUploadEvent) -> None:
        upload = self.coming.get(event.file_name)
        if upload is None:
            return
        if event.error:
            del self.coming[event.file_name]
            upload.broke(self._window.texts("upload_broke"))
        elif event.progress == 1.0 and upload.path.exists():
            del self.coming[event.file_name]
            upload.ready(came=True)
        else:
            upload.progress(min(max(event.progress or 0.0, 0.0), 1.0))


class Attachments:
    """Connects the person's files with those of the session."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._picked: set[Picked] = set()
        self._choosing: asyncio.Future[list[ft.FilePickerFile]] | None = None
        self._sources: BoundedDict[Path, str] = BoundedDict(
            MAX_SOURCES, lambda _, source: window.host.withdraw(source)
        )
        """What an image control takes, by the path of a picture; those wanted last are last."""
        self._offers: deque[str] = deque()

    async def pick(self, c: AppConversation) -> None:
        """Let the person choose files, then send them."""
        picked = Picked(self._window)
        if self._choosing is not None:
            # Some browsers do not report that the dialog was cancelled.
            self._choosing.cancel()
        choosing = self._choosing = asyncio.ensure_future(
            picked.picker.pick_files(allow_multiple=True, cancel_upload_on_window_blur=False)
        )
        await asyncio.wait([choosing])
        if choosing.cancelled():
            return
        chosen = choosing.result()
        for file in chosen[:MAX_CHOSEN_FILES]:
            try:
                if self._window.host.opens_paths and file.path:
                    self._send(c, Path(file.path), file.name)
                else:
                    picked.expect(file, self._begin(c, file.name, file.size))
            except EXPECTED as error:
                self._refused(file.name, error)
        if picked.coming:
            self._picked = {other for other in self._picked if other.coming} | {picked}
            await self._upload(picked)
        if len(chosen) > MAX_CHOSEN_FILES:
            self._window.tell(self._window.texts("too_many_files", most=MAX_CHOSEN_FILES))

    async def _upload(self, picked: Picked) -> None:
        """Make the browser upload the chosen files; mark them failed if it cannot be asked."""
        try:
            await picked.upload()
        except Exception:
            for name, upload in picked:
                picked.give_up(name, upload.entry.done)
            raise

    async def paste(self, c: AppConversation, files: list[Any]) -> None:
        """Send what was pasted, such as a screenshot."""
        for file in files[:MAX_CHOSEN_FILES]:
            name = file.name or "pasted.png"
            try:
                upload = self._begin(c, name, len(file.bytes))
                try:
                    await asyncio.to_thread(upload.path.write_bytes, file.bytes)
                except OSError as error:
                    upload.broke(str(error))
                    continue
                upload.ready(came=False)
            except EXPECTED as error:
                self._refused(name, error)

    async def give_up_stalled(self) -> None:
        """Give stalled uploads up: a page that was reloaded has dropped them."""
        before = [(picked, name, u.entry.done) for picked in self._picked for name, u in picked]
        if before:
            await asyncio.sleep(STALLED_SECONDS)
        for picked, name, done in before:
            picked.give_up(name, done)

    def _send(self, c: AppConversation, path: Path, name: str) -> None:
        sending = self._window.actions.sending
        if sending is None:
            raise OSError("nobody is signed in")
        sending.file(c, path, name, path.stat().st_size).ready(came=False)

    def _begin(self, c: AppConversation, name: str, size: int) -> FileUpload:
        """Show a file whose content is not at its path yet."""
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

    def _refused(self, name: str, error: Exception) -> None:
        texts = self._window.texts
        self._window.tell(texts("file_failed", name=name, why=texts.explain(error)))

    # Received files

    def picture(self, entry: BubbleEntry) -> str:
        """Return the `src` of an image control for a picture; empty until the file is here.

        The result stays empty for a picture that must not be drawn; `why_not` gives the reason.
        """
        files = self._window.actions.files
        assert entry.file is not None
        if files is None or not entry.file.id:
            return ""
        found, path = files.picture(entry), files.path(entry.file.id)
        if found is None or path is None or not found.is_shown:
            return ""
        source = self._sources.pop(path, "") or self._window.host.show(path, found.type)
        self._sources[path] = source
        return source

    def why_not(self, entry: BubbleEntry) -> str:
        """Return the reason for not showing a picture; empty if it is shown or not fetched yet."""
        files, texts = self._window.actions.files, self._window.texts
        assert entry.file is not None
        found = files.picture(entry) if files is not None and entry.file.id else None
        if found is None or found.is_shown:
            return ""
        if not found.type:
            return texts("no_picture")
        if found.frames > 1:
            return texts("long_animation")
        if not found.width:
            return texts("large_picture")
        return texts("many_pixels", width=f"{found.width:,}", height=f"{found.height:,}")

    async def cancel(self, c: AppConversation, entry: BubbleEntry) -> None:
        """Cancel the transfer of a file."""
        actions = self._window.actions
        if actions.sending is not None:
            actions.sending.cancel(c, entry)
        if actions.files is not None:
            actions.files.cancel(entry)

    async def save(self, _: AppConversation, entry: BubbleEntry) -> None:
        """Save a file for the person: as a browser download, or at the place chosen in a dialog."""
        assert entry.file is not None
        window, name = self._window, entry.file.name
        path = await self._fetched(entry)
        if not window.host.opens_paths:
            url = window.host.offer(path, name)
            self._offers.append(url)
            if len(self._offers) > MAX_OFFERS:
                window.host.withdraw(self._offers.popleft())
            await ft.UrlLauncher().launch_url(ft.Url(url, ft.UrlTarget.SELF))
            return
        target = await ft.FilePicker().save_file(file_name=name)
        if target:
            await asyncio.to_thread(shutil.copyfile, path, target)
            window.tell(window.texts("saved_at", path=target))

    async def enlarge(self, c: AppConversation, entry: BubbleEntry) -> None:
        """Show a picture as large as the window."""
        assert entry.file is not None
        window, texts = self._window, self._window.texts
        await self._fetched(entry)  # an earlier fetch may have been evicted
        source = self.picture(entry)
        if not source:
            return

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
            error_content=ft.Text(texts("damaged_picture")),
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

    async def _fetched(self, entry: BubbleEntry) -> Path:
        actions = self._window.actions
        if actions.files is None:
            raise OSError("nobody is signed in")
        return await actions.files.fetch(entry)
