"""Stands for Flet's program for the window: connects as it does, and keeps what it is shown.

Called as Flet calls its own: `window.py SOCKET PID_FILE ASSETS`. It ends when it was shown the text
in WAIT_FOR, or at once if there is none. Whatever it is asked, as what was kept from the last time,
it answers that there is nothing.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
from flet.messaging.protocol import decode_ext_from_msgpack

REGISTER, INVOKE = 1, 5


def say(connection: socket.socket, action: int, body: dict[str, Any]) -> None:
    frame = b"\0" + msgpack.packb([action, body])
    connection.sendall(len(frame).to_bytes(4, "little") + frame)


def hear(frames: BinaryIO) -> tuple[int, Any]:
    size = int.from_bytes(frames.read(4), "little")
    action, body = msgpack.unpackb(
        frames.read(size)[1:], ext_hook=decode_ext_from_msgpack, strict_map_key=False
    )
    return action, body


def main() -> None:
    wanted = os.environ.get("WAIT_FOR", "")
    if not wanted:
        sys.exit("error while loading shared libraries: libgtk-3.so.0")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(sys.argv[1])
        page = {"route": "/", "width": 1000, "height": 700, "platform": "linux"}
        say(connection, REGISTER, {"session_id": "", "page_name": "", "page": page})
        frames, shown = connection.makefile("rb"), ""
        while wanted not in shown:
            action, body = hear(frames)
            shown += str(body)
            if action == INVOKE:
                asked = {name: body[name] for name in ("control_id", "call_id")}
                say(connection, INVOKE, {**asked, "result": None, "error": None})
    Path(os.environ["SHOWN"]).write_text(shown)


if __name__ == "__main__":
    main()
