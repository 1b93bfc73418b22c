"""Delivery of events to sessions."""

from __future__ import annotations

from shared.protocol.commands.realms import RealmLink
from ws_server.net.hub import Hub
from ws_server.net.session import Account, Session


class Line:
    """An outlet that records frames; a slow one ends its session at the first frame."""

    congested = False

    def __init__(self, hub: Hub, slow: bool) -> None:
        self.hub = hub
        self.slow = slow
        self.frames: list[bytes] = []
        self.session = Session(self, "127.0.0.1")

    def write(self, payload: bytes) -> None:
        self.frames.append(payload)
        if self.slow:
            self.close_with(4000, "too slow")

    def admit(self, known: bool) -> None:
        pass

    def close_with(self, code: int, reason: str) -> None:
        self.session.pipeline.ended()
        self.hub.sign_out(self.session)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    async def room(self) -> None: ...


def test_a_session_that_ends_while_it_is_pushed_to_hides_no_other() -> None:
    hub = Hub()
    lines = [Line(hub, slow) for slow in (False, True, False)]
    for number, line in enumerate(lines):
        hub.sign_in(line.session, Account(1, "bob", bytes([number])))
        line.session.release()
    hub.publish(RealmLink("beta", "up"), [1])
    assert [len(line.frames) for line in lines] == [1, 1, 1]
    hub.publish(RealmLink("beta", "down"), [1])
    assert [len(line.frames) for line in lines] == [2, 1, 2]
