"""An app that does with its host what the address says, and shows what came of it as JSON.

`python -m tests.flet_app.probe` serves it as `python -m flet_app` serves the chat.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import flet as ft

from flet_app import __main__ as program
from flet_app import main
from flet_app.host import Host
from shared.client import ChatError


async def do(host: Host, action: str, query: dict[str, str]) -> dict[str, Any]:
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


async def start(page: ft.Page, host: Host) -> None:
    async def routed(event: ft.RouteChangeEvent) -> None:
        wanted = urlsplit(event.route)
        try:
            told = await do(
                host, wanted.path.strip("/"), dict(parse_qsl(wanted.query, keep_blank_values=True))
            )
        except Exception as error:
            told = {"error": type(error).__name__}
        page.add(ft.Text(json.dumps(told)))

    page.on_route_change = routed
    page.on_close = lambda _: host.close()
    page.add(ft.Text("ready"))


if __name__ == "__main__":
    main.start = start
    sys.exit(program.main())
