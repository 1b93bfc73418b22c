"""The shortest way through a real server."""

from tests.rawclient import RawClient
from tests.realserver import RealServer


async def test_a_message_is_answered_and_pushed(real_server: RealServer) -> None:
    alice = await RawClient.signed_in(real_server.url, "alice")
    bob = await RawClient.signed_in(real_server.url, "bob")
    sent = await alice.ask("send", to="bob", text="hi")
    pushed = await bob.event()
    assert (sent["seq"], sent["state"]) == (1, "stored")
    assert (pushed["from"], pushed["text"], pushed["id"]) == ("alice", "hi", sent["message_id"])
    await alice.close()
    await bob.close()


def test_it_stops_in_order_when_asked(real_server: RealServer) -> None:
    assert real_server.stop() == 0
