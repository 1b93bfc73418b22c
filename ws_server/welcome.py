"""The message printed at the start: the realm's addresses, and the next steps."""

from __future__ import annotations

import sys

from shared.faults import shown
from ws_server.registration import Registration
from ws_server.settings import Settings

TRY = """\
    npx wscat -c {url}
    > register bob Bob secret1 Indonesia
    > auth bob secret1
    > help

register takes a username, a real name, a password and a country. In a second terminal:

    > register ana Ana secret2 Portugal
    > auth ana secret2
    > send bob hi
"""

TRY_INVITED = """\
    npx wscat -c {url}
    > invitation CODE
    > register bob Bob secret1 Indonesia
    > auth bob secret1
    > help

register takes a username, a real name, a password and a country. Registration needs an
invitation{why}:
./chat admin invitation create prints a CODE.
"""

TRY_CLOSED = """\
    npx wscat -c {url}
    > auth NAME PASSWORD
    > help

Registration is closed{why}:
./chat admin user add creates accounts.
"""

TRY_IN = {"open": TRY, "invite": TRY_INVITED, "closed": TRY_CLOSED}
"""The next steps to print, by registration mode."""

STOP = "Ctrl+C stops the server."

OPEN_NOW = """\
Registration is open{why}."""

UNLIMITED = """\
Limits are off (--rate-limits off): anybody who reaches the port can guess passwords and use up
all connections, memory and time. Turn them off for tests only."""

NAMELESS = """\
Browsers can reach it by IP address only. To permit a host name, start it with --hosts NAME."""


ADMIN = """\
This realm has no admin yet. To become its admin, enter this one-time code when you create your
account, in the web app or with `code {code}` before `register`; or use ./chat admin user add.
Admin code: {code}"""


OPEN = """\
Realms are open (--realms open): every user may add others, and any server that connects here
is linked at once. With --realms admin, admins decide."""


def address(settings: Settings, scheme: str, port: int) -> str:
    """Return the URL of a port of this server; `scheme` is ws or http."""
    host = "localhost" if settings.host in ("localhost", "0.0.0.0", "::") else settings.host
    safe = "s" if settings.tls_cert else ""
    return f"{scheme}{safe}://{f'[{host}]' if ':' in host else host}:{port}"


def welcome(
    realm: str,
    settings: Settings,
    port: int,
    web_port: int | None,
    *,
    is_new: bool,
    code: str | None,
    registration: Registration,
) -> None:
    """Print the addresses of the realm, its data folder and the next steps, the browser first.

    Args:
        is_new: The data folder is new; printed in case its path was mistyped.
        code: The code that makes its bearer the first admin; None if none is expected.
        registration: The registration mode in words.
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
    if code is not None:
        lines[1:1] = [ADMIN.format(code=code)]
    tried = TRY_IN[registration.mode].format(url=url, why=registration.why)
    print("\n".join(lines), tried, STOP, sep="\n")
    if registration.mode == "open" and registration.why:
        print(OPEN_NOW.format(why=registration.why))
    if web_port is not None and not (settings.is_loopback or settings.is_reached_by_name):
        print(NAMELESS)
    if settings.rate_limits == "off":
        print(UNLIMITED)
    if settings.realms == "open":
        print(OPEN)
    sys.stdout.flush()
