"""What the server prints when it is up: where it is, and what to try next."""

from __future__ import annotations

from shared.faults import shown
from ws_server.settings import Settings

TRY = """\
    npx wscat -c {url}
    > register bob Bob secret1 Indonesia
    > auth bob secret1
    > help

that is a name, the real name in one word, a password and a country. In another one:

    > register ana Ana secret2 Portugal
    > auth ana secret2
    > send bob hi

Ctrl+C stops the server."""


def address(settings: Settings, scheme: str, port: int) -> str:
    """Return the URL of a port of this server; `scheme` is ws or http."""
    host = "localhost" if settings.host in ("localhost", "0.0.0.0", "::") else settings.host
    safe = "s" if settings.tls_cert else ""
    return f"{scheme}{safe}://{f'[{host}]' if ':' in host else host}:{port}"


def welcome(
    realm: str, settings: Settings, port: int, web_port: int | None, *, is_new: bool
) -> None:
    """Print where the realm and its data are, and what to try next, in a browser first.

    Args:
        is_new: It was just made, which is said, in case that the folder was mistyped.
    """
    url = address(settings, "ws", port)
    lines = [f"Realm {realm} serves {url}, with its data in {shown(settings.data.resolve())}"]
    if is_new:
        lines[0] += ". This realm is new: there was none in that folder"
    if web_port is None:
        lines += ["Try in a terminal:", ""]
    else:
        wanted = settings.web_port
        lines += [
            f"Open {address(settings, 'http', web_port)} in a browser"
            + (f" ({wanted} was taken)" if wanted and web_port != wanted else "")
            + ", or try in a terminal:",
            "",
        ]
    print("\n".join(lines), TRY.format(url=url), sep="\n", flush=True)
