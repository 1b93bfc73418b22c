"""Complete lists: page after page, until the server reports no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from shared.protocol.commands.lists import ListPage
from shared.protocol.spec import Request

L = TypeVar("L", bound=ListPage)


async def every_page(
    ask: Callable[[Request[L]], Awaitable[L]], request: Request[L]
) -> AsyncIterator[L]:
    """Yield the pages of a list, beginning with the page of `request`.

    Args:
        ask: Sends a request and returns its reply.
    """
    after = request.spec.by_name["after"].kind
    while True:
        page = await ask(request)
        yield page
        if not page.more or not page.end():
            return
        request = cast("Request[L]", replace(cast(Any, request), after=after.from_json(page.end())))
