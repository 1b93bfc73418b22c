"""Handlers of the commands about the connection itself."""

from __future__ import annotations

import time

from shared.protocol.call import Dialect
from shared.protocol.commands.meta import Format, Help, HelpPage, Ping, Pong, SetFormat
from shared.protocol.reference import help_page
from ws_server.context import Context, handles


@handles(SetFormat)
def set_format(ctx: Context, request: SetFormat) -> Format:
    ctx.session.options.dialect = Dialect(request.dialect)
    ctx.session.options.is_pinned = True
    return Format(request.dialect)


@handles(Help)
def help(ctx: Context, request: Help) -> HelpPage:
    return help_page(request.topic)


@handles(Ping)
def ping(ctx: Context, request: Ping) -> Pong:
    return Pong(time.time_ns() // 1_000_000)
