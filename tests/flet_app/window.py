"""Stands for Flet's program for the window: connects as it does, and keeps what it is shown.

Called as Flet calls its own: `window.py SOCKET PID_FILE ASSETS`. It ends when it was shown the text
in WAIT_FOR, or at once if there is none.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import msgpack

REGISTER = 1


def main() -> None:
    wanted = os.environ.get("WAIT_FOR", "")
    if not wanted:
        sys.exit("error while loading shared libraries: libgtk-3.so.0")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(sys.argv[1])
        page = {"route": "/", "width": 1000, "height": 700, "platform": "linux"}
        register = {"session_id": "", "page_name": "", "page": page}
        frame = b"\0" + msgpack.packb([REGISTER, register])
        connection.sendall(len(frame).to_bytes(4, "little") + frame)
        shown = b""
        while wanted.encode() not in shown:
            came = connection.recv(65536)
            assert came, "the app ended the connection"
            shown += came
    Path(os.environ["SHOWN"]).write_bytes(shown)


if __name__ == "__main__":
    main()
