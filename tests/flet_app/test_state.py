"""The app's state after events and lists, without a screen."""

from __future__ import annotations

from flet_app.conversation import (
    MAX_KEPT_CLOSED_MESSAGES,
    QUEUED,
    REFUSED,
    STORED,
    WAITING,
    BubbleEntry,
)
from flet_app.state import AppState, StatePart
from shared.client import (
    Delivery,
    GroupChanged,
    HistoryChanged,
    Offline,
    Online,
    RealmLink,
    Receipt,
    SignedOut,
)
from shared.protocol.commands.messages import Sent
from shared.protocol.commands.realms import Realm
from tests.flet_app.people import NOON, arrived, chat, group, known, message


def signed_in() -> tuple[AppState, list[StatePart]]:
    changed: list[StatePart] = []
    state = AppState(changed.append)
    state.signed_in("ana", "alpha", None)
    state.lists([chat("bob", 3, 3)], [group("#1", "cake", 2, 2)], {}, NOON)
    changed.clear()
    return state, changed


def test_what_comes_makes_its_conversation_the_first() -> None:
    state, changed = signed_in()
    state.take(arrived(3, conversation="#1"))
    state.take(arrived(9, "zed", conversation="zed"))
    assert [c.address for c in state.conversations.matching()] == ["zed", "#1", "bob"]
    assert StatePart.LIST in changed and StatePart.MESSAGES not in changed
    assert state.conversations.unread == 2


def test_the_filter_looks_at_names_and_addresses() -> None:
    state, _ = signed_in()
    assert [c.title for c in state.conversations.matching("CAK")] == ["cake"]
    assert [c.title for c in state.conversations.matching("#1")] == ["cake"]
    assert [c.title for c in state.conversations.matching(" bo ")] == ["bob"]
    assert state.conversations.matching("nobody") == []


def test_the_filter_did_not_find_what_a_keyboard_cannot_type() -> None:
    state, _ = signed_in()
    names = ["Café", "Cafe\u0301 2", "İstanbul", "Straße"]
    rows = [group(f"#{n}", name) for n, name in enumerate(names, start=1)]
    state.lists([], rows, {}, NOON)
    assert [c.title for c in state.conversations.matching("cafe")] == names[:2]
    assert [c.title for c in state.conversations.matching("ISTANBUL")] == ["İstanbul"]
    assert [c.title for c in state.conversations.matching("strasse")] == ["Straße"]


def test_what_is_meant_was_below_what_contains_it() -> None:
    """`an` and Enter opened what was newest and had these letters in it, 42 stood below 420."""
    state, _ = signed_in()
    names = ["back and forth", "Juan", "Team Ana", "Ana"]
    rows = [group(f"#{n}", name) for n, name in enumerate(names, start=1)]
    rows += [group("#420", "x"), group("#42", "y")]
    state.lists([], rows, {}, NOON)
    assert [c.title for c in state.conversations.matching("an")] == [
        "Ana",
        "back and forth",
        "Team Ana",
    ]
    assert [c.address for c in state.conversations.matching("42")] == ["#42", "#420"]


def test_addresses_are_compared_without_case() -> None:
    state, _ = signed_in()
    assert state.conversation("BOB") is state.conversation("bob")


def test_a_message_to_the_open_conversation_is_shown() -> None:
    state, changed = signed_in()
    c = state.conversation("bob")
    c.newest([message(n) for n in (1, 2, 3)], more=False)
    state.opened(c)
    changed.clear()
    state.take(arrived(4))
    assert [e.seq for e in c.entries] == [1, 2, 3, 4]
    assert StatePart.MESSAGES in changed


def test_private_messages_are_to_be_confirmed_and_those_of_groups_are_not() -> None:
    state, _ = signed_in()
    state.take(arrived(4))
    state.take(arrived(5))
    state.take(arrived(3, conversation="#1"))
    state.take(arrived(6, state=STORED))
    assert state.received == {"bob": 5}


def test_the_unread_line_is_where_one_began_and_goes_with_what_one_writes() -> None:
    state, _ = signed_in()
    c = state.conversation("bob")
    state.take(arrived(4))
    state.take(arrived(5))
    state.opened(c)
    assert c.unread_from == 4
    state.read(c, 5)
    assert c.unread_from == 4 and c.unread == 0
    state.put(c, BubbleEntry("k", "ana", "hi", NOON, state=WAITING))
    assert c.unread_from == 0


def test_leaving_a_conversation_takes_the_unread_line() -> None:
    state, _ = signed_in()
    state.take(arrived(4))
    c = state.conversation("bob")
    state.opened(c)
    state.opened(state.conversation("#1"))
    assert c.unread_from == 0


def test_what_another_window_read_is_read_here() -> None:
    state, _ = signed_in()
    state.take(arrived(4))
    state.take(arrived(5))
    state.take(Receipt("bob", "ana", 5, 5))
    assert state.conversations.unread == 0 and not state.stale


def test_what_another_window_read_of_much_is_asked_for() -> None:
    state, _ = signed_in()
    state.take(arrived(4))
    state.take(arrived(5))
    state.take(Receipt("bob", "ana", 5, 4))
    assert state.stale


def test_receipts_of_the_other_person_are_theirs() -> None:
    state, _ = signed_in()
    c = state.conversation("bob")
    state.take(Receipt("bob", "bob", 3, 2))
    assert (c.other_received, c.other_read, c.read_seq) == (3, 2, 3)
    state.take(Receipt("bob", "bob", 1, 1))
    assert (c.other_received, c.other_read) == (3, 2)


def test_a_sent_message_is_told_by_its_answer() -> None:
    state, _ = signed_in()
    c = state.conversation("bob")
    state.opened(c)
    entry = BubbleEntry("k", "ana", "hi", NOON, state=WAITING)
    state.put(c, entry)
    state.sent(c, entry, Sent("bob", 4, "m4", NOON + 1, STORED))
    assert (entry.seq, entry.id, entry.state, c.last_seq) == (4, "m4", STORED, 4)
    assert c.last is entry


def test_a_queued_post_gets_its_place_when_the_host_gives_it() -> None:
    state, _ = signed_in()
    c = state.conversation("#7@beta")
    entry = BubbleEntry("k", "ana", "hi", NOON, state=WAITING)
    state.put(c, entry)
    state.sent(c, entry, Sent("#7@beta", None, "m9", NOON, QUEUED))
    assert (entry.seq, entry.state) == (None, QUEUED)
    state.take(Delivery("#7@beta", "m9", 12, "delivered"))
    assert (entry.seq, entry.state, c.last_seq) == (12, "delivered", 12)


def test_a_refused_message_says_why() -> None:
    state, _ = signed_in()
    c = state.conversation("zed@beta")
    entry = BubbleEntry("k", "ana", "hi", NOON, state=WAITING)
    state.put(c, entry)
    state.sent(c, entry, Sent("zed@beta", 1, "m1", NOON, QUEUED))
    state.take(Delivery("zed@beta", "m1", 1, REFUSED, "unknown_user"))
    assert (entry.state, entry.why) == (REFUSED, "unknown_user")


def test_a_group_one_was_removed_from_is_gone() -> None:
    state, changed = signed_in()
    state.opened(state.conversation("#1"))
    changed.clear()
    state.take(GroupChanged("#1", "cake", "ana", "removed"))
    assert state.open is None and [c.address for c in state.conversations.matching()] == ["bob"]
    assert {StatePart.LIST, StatePart.OPEN} <= set(changed)


def test_a_change_of_oneself_that_a_newer_server_names_was_taken_as_having_left() -> None:
    state, _ = signed_in()
    state.opened(state.conversation("#1"))
    state.take(GroupChanged("#1", "cake", "ana", "renamed"))
    assert state.open is state.conversation("#1") and state.stale


def test_a_group_one_was_invited_to_appears_with_its_name() -> None:
    state, _ = signed_in()
    state.take(GroupChanged("#2", "team", "ana", "joined"))
    assert state.conversation("#2").title == "team" and state.stale


def test_groups_that_no_list_names_any_more_are_gone() -> None:
    state, _ = signed_in()
    asked = known(state)
    state.conversation("#9")
    state.lists([chat("bob", 3, 3)], [], asked, NOON)
    assert [c.address for c in state.conversations.matching()] == ["#9", "bob"], (
        "made after it was asked"
    )
    state.lists([chat("bob", 3, 3)], [], known(state), NOON)
    assert [c.address for c in state.conversations.matching()] == ["bob"]


def test_a_group_that_moved_between_two_pages_of_the_list_is_not_gone() -> None:
    state, _ = signed_in()
    asked = known(state)
    state.take(arrived(3, conversation="#1"))
    state.lists([chat("bob", 3, 3)], [], asked, NOON)
    assert [c.address for c in state.conversations.matching()] == ["#1", "bob"]


def test_a_lost_connection_is_told_until_it_is_back() -> None:
    state, changed = signed_in()
    state.take(Offline("the connection broke", 0.4))
    assert (state.online, state.offline_why) == (False, "the connection broke")
    state.take(Online("ana"))
    assert state.online and state.stale and changed == [StatePart.LINK, StatePart.LINK]


def test_the_end_of_a_session_forgets_the_person() -> None:
    state, changed = signed_in()
    state.take(SignedOut("session ended (4501)"))
    assert (state.user, state.ended, state.conversations) == ("", "session ended (4501)", {})
    assert changed == [StatePart.SESSION]


def test_another_history_forgets_the_messages() -> None:
    state, _ = signed_in()
    c = state.conversation("bob")
    c.newest([message(1)], more=False)
    state.take(HistoryChanged("e2"))
    assert (c.entries, c.loaded, c.last_seq, state.stale) == ([], False, 0, True)


def test_a_realm_that_goes_away_is_told() -> None:
    state, _ = signed_in()
    state.realms = [Realm("beta", "b.example", 8765, "F", "active", "up", 0)]
    c = state.conversation("zed@beta")
    assert state.link_of(c) == "up"
    state.take(RealmLink("beta", "down"))
    assert state.link_of(c) == "down"
    assert state.link_of(state.conversation("bob")) == ""


def test_a_closed_conversation_does_not_grow_for_ever() -> None:
    state, _ = signed_in()
    c = state.conversation("bob")
    c.newest([message(n) for n in (1, 2, 3)], more=False)
    for n in range(4, 5 * MAX_KEPT_CLOSED_MESSAGES):
        state.take(arrived(n))
    assert len(c.entries) <= 2 * MAX_KEPT_CLOSED_MESSAGES
    assert c.entries[-1].seq == 5 * MAX_KEPT_CLOSED_MESSAGES - 1
