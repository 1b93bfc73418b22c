"""An app that does with its host what the address says, and shows what came of it as JSON.

`python -m tests.flet_app.probe` serves it as `python -m flet_app` serves the chat.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import flet as ft

from flet_app import __main__ as program
from flet_app import main
from flet_app.host import PageHost
from shared.client import ChatError

ROW = 40


async def do(host: PageHost, action: str, query: dict[str, str]) -> dict[str, Any]:
    """Do one thing and return what is to be shown."""
    path = host.folder / query.get("file", "a")
    match action:
        case "who":
            return {"zone": str(host.zone), "language": host.language, "folder": str(host.folder)}
        case "show" | "offer":
            path.write_bytes(query.get("content", "hello").encode())
            if action == "show":
                return {"url": host.show(path, query.get("type", "image/png"))}
            return {"url": host.offer(path, query["name"])}
        case "steal":
            return {"url": host.offer(Path(query["path"]), "stolen")}
        case "expect":
            expected = host.expect(query["name"], int(query["size"]))
            return {"url": expected.url, "path": str(expected.path)}
        case "withdraw":
            host.withdraw(query["url"])
            return {}
        case "sign_out":
            host.admit(False)
            return {}
        case "close":
            host.close()
            host.close()
            return {}
        case "guess":
            async with host.client(host.server) as client:
                try:
                    await client.auth("eve", "wrong-password")
                except ChatError as error:
                    return {"code": error.code.value}
    raise AssertionError(action)


def draw(page: ft.Page, letters: str) -> None:
    """Show each letter in a row of its own, ROW pixels high, from the top left corner on."""
    page.padding = page.spacing = 0
    page.controls = [
        ft.Container(ft.Text(letter, size=20), width=ROW, height=ROW) for letter in letters
    ]
    page.update()


async def start(page: ft.Page, host: PageHost) -> None:
    async def obey(route: str) -> None:
        wanted = urlsplit(route)
        if wanted.path == "/letters":
            draw(page, parse_qs(wanted.query)["letters"][0])
            return
        try:
            told = await do(
                host, wanted.path.strip("/"), dict(parse_qsl(wanted.query, keep_blank_values=True))
            )
        except Exception as error:
            told = {"error": type(error).__name__}
        page.add(ft.Text(json.dumps(told, ensure_ascii=False)))

    async def routed(event: ft.RouteChangeEvent) -> None:
        await obey(event.route)

    host.admit(True)
    page.on_route_change = routed
    page.on_close = lambda _: host.close()
    page.add(ft.Text("ready"))
    if page.route != "/":
        await obey(page.route)


if __name__ == "__main__":
    main.start = start
    sys.exit(program.main())
