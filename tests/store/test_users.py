"""Rules of accounts and tokens."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store import users
from ws_server.store.schema import tokens
from ws_server.store.users import TOKENS_KEPT


def add(tx: Connection, name: str) -> users.User:
    return users.create(tx, name, "Bob B", "Indonesia", "hash", 1)


def test_the_first_account_is_the_admin(tx: Connection) -> None:
    assert [add(tx, name).admin for name in ("alice", "bob", "carol")] == [True, False, False]


def test_a_name_is_compared_without_case_and_shown_as_registered(tx: Connection) -> None:
    made = add(tx, "BoB")
    assert users.find(tx, "bOb") == made
    assert made.name == "BoB"
    with pytest.raises(ChatError) as refused:
        add(tx, "bob")
    assert refused.value.code is ErrorCode.USER_EXISTS


def test_nobody_is_none_or_an_error(tx: Connection) -> None:
    assert users.find(tx, "bob") is None
    with pytest.raises(ChatError) as refused:
        users.existing(tx, "bob")
    assert refused.value.code is ErrorCode.UNKNOWN_USER


def test_a_token_is_found_by_its_hash_and_only_that_is_stored(tx: Connection) -> None:
    bob = add(tx, "bob")
    token = "a token nobody guesses"
    users.add_token(tx, bob.id, users.hash_token(token), 5)
    assert users.use_token(tx, users.hash_token(token), 9) == bob
    assert users.use_token(tx, users.hash_token("another"), 9) is None
    (row,) = tx.execute(select(tokens)).all()
    assert row.used == 9
    assert token.encode() not in row.hash and len(row.hash) == 32


def test_an_ended_token_is_unknown(tx: Connection) -> None:
    bob = add(tx, "bob")
    users.add_token(tx, bob.id, b"one", 1)
    users.end_token(tx, b"one")
    assert users.use_token(tx, b"one", 2) is None


def test_ending_the_others_keeps_ones_own_and_other_peoples(tx: Connection) -> None:
    alice, bob = add(tx, "alice"), add(tx, "bob")
    for token in (b"one", b"two"):
        users.add_token(tx, bob.id, token, 1)
    users.add_token(tx, alice.id, b"hers", 1)
    users.end_other_tokens(tx, bob.id, b"two")
    assert users.use_token(tx, b"one", 2) is None
    assert users.use_token(tx, b"two", 2) == bob
    assert users.use_token(tx, b"hers", 2) == alice


def test_the_least_recently_used_token_makes_room(tx: Connection) -> None:
    bob = add(tx, "bob")
    for number in range(TOKENS_KEPT):
        users.add_token(tx, bob.id, b"%d" % number, number)
    users.use_token(tx, b"0", 1_000)
    users.add_token(tx, bob.id, b"new", 1_001)
    assert users.use_token(tx, b"1", 1_002) is None
    for kept in (b"0", b"2", b"new"):
        assert users.use_token(tx, kept, 1_002) == bob


def test_tokens_used_while_the_clock_was_ahead_do_not_outlive_those_in_use(tx: Connection) -> None:
    bob = add(tx, "bob")
    ahead = 10**12
    for number in range(TOKENS_KEPT):
        users.add_token(tx, bob.id, b"%d" % number, ahead + number)
    users.use_token(tx, b"0", 1)
    users.add_token(tx, bob.id, b"new", 2)
    users.add_token(tx, bob.id, b"newer", 3)
    for gone in (b"1", b"2"):
        assert users.use_token(tx, gone, 4) is None
    for kept in (b"0", b"3", b"new", b"newer"):
        assert users.use_token(tx, kept, 4) == bob


def test_a_password_is_replaced_for_one_account(tx: Connection) -> None:
    alice, bob = add(tx, "alice"), add(tx, "bob")
    users.set_password(tx, bob.id, "other")
    assert users.existing(tx, "bob").password == "other"
    assert users.existing(tx, "alice") == alice
