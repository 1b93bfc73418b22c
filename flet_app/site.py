"""The static files of the page: Flet's client, our fonts and icons, compressed once, with ETags."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from stat import S_ISREG

from flet_web import (
    get_package_web_dir,
    patch_font_manifest_json,
    patch_index_html,
    patch_manifest_json,
)
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from flet_app.host import LANGUAGES
from flet_app.texts import TEXTS
from shared.protocol import base64
from shared.protocol.media_types import media_type

NAME = "Simple Chatting"
DESCRIPTION = "A chat of your own"
COLOUR = "#00796b"
"""Colour of the icon's background, and of the frame in which a phone shows the app."""
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ASSETS / "page"
PACKED = (".wasm", ".js", ".mjs", ".json", ".bin", ".ttf", ".otf", ".frag", ".svg")
"""Types worth compressing; pictures and woff2 are compressed already."""
ROUTE = re.compile(r"[^.]*|[cg]/[^/]*")
"""Paths that are routes of the app rather than files."""


class Site(StaticFiles):
    """Flet's client; our files override its own.

    Args:
        folder: This process's own folder, for compressed files.
    """

    def __init__(self, folder: Path) -> None:
        web = Path(get_package_web_dir())  # type: ignore[no-untyped-call]
        for name in ("index.html", "manifest.json", "assets/FontManifest.json"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(web / name, folder / name)
        patch_index_html(
            str(folder / "index.html"),
            "/",
            websocket_endpoint_path="/ws",
            app_name=NAME,
            app_description=DESCRIPTION,
            no_cdn=True,
        )
        patch_manifest_json(
            str(folder / "manifest.json"),
            app_name=NAME,
            app_description=DESCRIPTION,
            theme_color=COLOUR,
        )
        patch_font_manifest_json(str(folder / "assets" / "FontManifest.json"))
        self.index = _with_script((folder / "index.html").read_text(encoding="utf-8"))
        (folder / "index.html").unlink()
        super().__init__(directory=folder)
        self.all_directories = [folder, ASSETS, web]
        self._packing: dict[str, asyncio.Future[str]] = {}
        self._packed = folder / "packed"
        self._packed.mkdir()

    @property
    def inline_scripts(self) -> list[str]:
        """The hashes of the page's inline scripts, for the Content-Security-Policy."""
        found = re.findall(r"<script>(.*?)</script>", self.index, re.DOTALL)
        digests = (hashlib.sha256(text.encode()).digest() for text in found)
        return [f"'sha256-{base64.written(digest)}'" for digest in digests]

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, or with the page for each route of the app."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        try:
            full, found = await asyncio.to_thread(self.lookup_path, path)
        except (OSError, ValueError):  # the path is too long or contains NUL
            raise HTTPException(404) from None
        if found is None or not S_ISREG(found.st_mode):
            if ROUTE.fullmatch(path) or path in (".", "index.html"):
                return HTMLResponse(self.index, headers={"Cache-Control": "no-store"})
            raise HTTPException(404)
        return await self._file(path, full, scope)

    async def _file(self, path: str, full: str, scope: Scope) -> Response:
        asked, suffix = Headers(scope=scope), os.path.splitext(full)[1]
        headers = {"Cache-Control": "no-cache"}
        if path.startswith("assets/fonts/noto"):  # their names are hashes of their contents
            headers["Cache-Control"] = "public, max-age=31536000, immutable"
        sent = full
        if suffix in PACKED:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in asked.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
                sent = await self._pack(full)
        kind = media_type(full)
        stat = await asyncio.to_thread(os.stat, sent)
        response = FileResponse(sent, headers=headers, media_type=kind, stat_result=stat)
        if self.is_not_modified(response.headers, asked):
            return NotModifiedResponse(response.headers)
        return response

    async def _pack(self, full: str) -> str:
        """Return the path of the compressed file, made once while all requests for it wait."""
        packing = self._packing.get(full)
        if packing is None:
            target = self._packed / f"{len(self._packing)}.gz"
            packing = asyncio.ensure_future(asyncio.to_thread(_gzip, full, str(target)))
            self._packing[full] = packing
        return await asyncio.shield(packing)


def _with_script(index: str) -> str:
    """Return Flet's page with our script, which runs first: modules run in order."""
    engine = '<script src="flutter_bootstrap.js" async>'
    if "<head>" not in index or engine not in index:
        raise RuntimeError("Flet's index.html has another form, which site.py must learn")
    names = sorted(path.name for path in SCRIPTS.glob("*.js"))
    words = {
        language: {"away": TEXTS["page_away"][n], "waits": TEXTS["page_waits"][n]}
        for n, language in enumerate(LANGUAGES)
    }
    head = [
        "<head>",
        *(f'<link rel="modulepreload" href="/page/{name}">' for name in names),
        f'<script type="application/json" id="away-words">{_in_html(words)}</script>',
        '<script type="module" src="/page/start.js"></script>',
    ]
    index = index.replace("<head>", "\n  ".join(head), 1)
    return index.replace(engine, engine.replace("async", "defer"))


def _in_html(value: object) -> str:
    """Return JSON that cannot close an HTML element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _gzip(source: str, target: str) -> str:
    with open(source, "rb") as content, gzip.open(target, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(content, packed, 1 << 20)
    # The ETag depends on time and size, and must survive a restart.
    stat = os.stat(source)
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return target
