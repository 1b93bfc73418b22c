"""Rules of private chats; sections 4 to 7 of the contract."""

from __future__ import annotations

from tests.world import Person, World


async def chats(person: Person) -> list[str]:
    return [c["conversation"] for c in (await person.ask("listpc"))["conversations"]]


async def test_a_message_goes_to_all_sessions_of_both_but_the_sending_one(world: World) -> None:
    alice, alice2, bob, bob2, carol = await world.log_in("alice", "alice", "bob", "bob", "carol")
    sent = await alice.ask("send", to="bob", text="hi")
    message = {"event": "message", "id": sent["message_id"], "seq": 1, "from": "alice"}
    message |= {"time": sent["time"], "text": "hi"}
    for person in (bob, bob2):
        assert await person.pushes() == [{**message, "conversation": "alice"}]
    own = {**message, "conversation": "bob", "state": "stored"}
    assert await alice2.pushes() == [own]
    assert await alice.pushes() == await carol.pushes() == []


async def test_a_note_to_oneself_goes_to_one_s_other_sessions_once(world: World) -> None:
    alice, other = await world.log_in("alice", "alice")
    sent = await alice.ask("send", to="ALICE", text="note")
    assert (sent["conversation"], sent["seq"]) == ("alice", 1)
    (push,) = await other.pushes()
    assert (push["conversation"], push["from"], push["state"]) == ("alice", "alice", "stored")
    assert await alice.pushes() == []
    (chat,) = (await alice.ask("listpc"))["conversations"]
    assert (chat["conversation"], chat["last_seq"], chat["unread"]) == ("alice", 1, 0)


async def test_every_spelling_of_a_person_is_the_same_conversation(world: World) -> None:
    alice, bob = await world.log_in("alice", "Bob")
    await bob.ask("send", to="alice", text="hi")
    for seq, to in enumerate(["bob", "BOB", "bob@alpha", "Bob@ALPHA"], 2):
        sent = await alice.ask("send", to=to, text="hi")
        assert (sent["conversation"], sent["seq"]) == ("Bob", seq)


async def test_a_text_has_1_to_16384_bytes_and_arrives_as_it_is(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    right = ["x", " x", "\n.", "x" * 16_384, "é" * 8_192, "\u202e\x1b[31m\u2028\U0001f600"]
    for text in ("", " ", "\n", "\u200b", "x" * 16_385, "é" * 8_192 + "x", "a\0b"):
        assert await alice.refused("send", to="bob", text=text) == "bad_arguments"
    for text in right:
        await alice.ask("send", to="bob", text=text)
    assert [push["text"] for push in await bob.pushes()] == right
    found = (await bob.ask("history", conversation="alice"))["messages"]
    assert [message["text"] for message in found] == right


async def test_listpc_is_newest_first_and_holds_only_talks(world: World) -> None:
    alice, _, _, _ = await world.log_in("alice", "bob", "carol", "dave")
    await alice.ask("creategroup", name="team")
    await alice.ask("inbox", user="dave")
    assert await chats(alice) == []
    for to in ("bob", "carol", "bob", "alice"):
        await alice.ask("send", to=to, text="hi")
    assert await chats(alice) == ["alice", "bob", "carol"]
    await alice.ask("send", to="carol", text="hi")
    assert await chats(alice) == ["carol", "alice", "bob"]


async def test_listpc_cuts_the_newest_message_to_256_characters(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for text in ("é" * 256, "é" * 257, "é" * 8_192):
        await alice.ask("send", to="bob", text=text)
        (chat,) = (await bob.ask("listpc"))["conversations"]
        last = chat["last"]
        assert len(last["text"]) == 256
        assert last["text"][:255] == text[:255]
        assert (last["from"], last["conversation"]) == ("alice", "alice")


async def test_listpc_tells_both_sides_markers(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for _ in range(3):
        await alice.ask("send", to="bob", text="hi")
    await bob.ask("received", conversation="alice", seq=3)
    await bob.ask("read", conversation="alice", seq=2)
    (his,) = (await bob.ask("listpc"))["conversations"]
    (hers,) = (await alice.ask("listpc"))["conversations"]
    assert (his["read_seq"], his["unread"], his["last_seq"]) == (2, 1, 3)
    assert (his["other_received_seq"], his["other_read_seq"]) == (0, 0)
    assert (hers["other_received_seq"], hers["other_read_seq"]) == (3, 2)
    assert hers["unread"] == 0


async def test_listpc_of_a_realm_lists_those_of_that_realm(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    await alice.ask("send", to="bob", text="hi")
    assert len((await alice.ask("listpc", realm="ALPHA"))["conversations"]) == 1
    assert await alice.refused("listpc", realm="beta") == "unknown_realm"


async def test_inbox_of_somebody_never_talked_with_says_no_message(world: World) -> None:
    alice, bob = await world.log_in("alice", "Bob")
    page = await alice.ask("inbox", user="bob")
    assert (page["message"], page["conversation"]) == ("No message", "Bob")
    assert (page["messages"], page["more"]) == ([], False)
    assert await alice.refused("inbox", user="nobody") == "unknown_user"
    assert await bob.pushes() == []


async def test_inbox_marks_what_it_shows_and_no_more(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for number in range(5):
        await alice.ask("send", to="bob", text=str(number))
    page = await bob.ask("inbox", user="alice", before=4, limit=2)
    assert [m["seq"] for m in page["messages"]] == [2, 3]
    (chat,) = (await bob.ask("listpc"))["conversations"]
    assert (chat["read_seq"], chat["unread"]) == (3, 2)


async def test_own_messages_show_their_state_and_others_do_not(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await alice.ask("send", to="bob", text="hi")
    for person, states in ((alice, ["stored"]), (bob, [None])):
        (chat,) = (await person.ask("listpc"))["conversations"]
        assert [chat["last"].get("state")] == states
        other = chat["conversation"]
        for command, key in (("inbox", "user"), ("history", "conversation")):
            page = await person.ask(command, **{key: other})
            assert [m.get("state") for m in page["messages"]] == states
