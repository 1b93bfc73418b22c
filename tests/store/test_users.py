"""Rules of accounts and tokens."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.accounts import tokens, users
from ws_server.store.accounts.tokens import TOKENS_KEPT
from ws_server.store.schema import tokens as token_table
from ws_server.store.steps import answer


def add(tx: Connection, name: str) -> users.User:
    return users.create(tx, name, "Bob B", "Indonesia", "hash", 1)


def used(tx: Connection, token: bytes, now: int, since: int = 0) -> users.User | None:
    return answer(tx, tokens.use_token(token, now, since, "192.0.2.1"))


def test_an_admin_is_whom_it_was_said_of(tx: Connection) -> None:
    assert users.is_empty(tx) and not users.has_admin(tx)
    assert not add(tx, "bob").admin
    assert not users.is_empty(tx) and not users.has_admin(tx)
    assert users.create(tx, "alice", "Alice", "Peru", "hash", 1, admin=True).admin
    assert users.has_admin(tx)


def test_a_token_that_was_not_used_for_long_has_ended_and_one_in_use_has_not(
    tx: Connection,
) -> None:
    bob = add(tx, "bob")
    for token in (b"old", b"open", b"new"):
        tokens.add_token(tx, bob.id, token, 1)
    assert used(tx, b"new", 100) == bob
    tokens.keep_tokens(tx, [b"open"], 100)
    assert used(tx, b"old", 101, since=50) is None
    assert tokens.end_unused(tx, 50) == 1
    assert used(tx, b"old", 102) is None
    assert used(tx, b"open", 103, since=50) == used(tx, b"new", 104, since=50) == bob


@pytest.mark.parametrize(
    "address, at_home",
    [
        ("192.0.2.1", True),
        ("::ffff:192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8:0:1::2", True),
        ("2001:db8:0:2::2", False),
    ],
)
def test_an_account_is_at_home_in_the_networks_of_its_sessions(
    tx: Connection, address: str, at_home: bool
) -> None:
    alice, bob = add(tx, "alice"), add(tx, "bob")
    tokens.add_token(tx, bob.id, b"before addresses were kept", 1)
    tokens.add_token(tx, bob.id, b"one", 1, "192.0.2.9")
    assert used(tx, b"one", 2) == bob
    tokens.add_token(tx, bob.id, b"two", 1, "2001:db8:0:1::1")
    assert users.signing_in(tx, "BOB", address) == (bob, at_home)
    assert users.signing_in(tx, "alice", address) == (alice, False)
    assert users.signing_in(tx, "nobody", address) == (None, False)


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
    tokens.add_token(tx, bob.id, tokens.hash_token(token), 5)
    assert used(tx, tokens.hash_token(token), 9) == bob
    assert used(tx, tokens.hash_token("another"), 9) is None
    (row,) = tx.execute(select(token_table)).all()
    assert row.used == 9
    assert token.encode() not in row.hash and len(row.hash) == 32


def test_an_ended_token_is_unknown(tx: Connection) -> None:
    bob = add(tx, "bob")
    tokens.add_token(tx, bob.id, b"one", 1)
    tokens.end_token(tx, b"one")
    assert used(tx, b"one", 2) is None


def test_ending_the_others_keeps_ones_own_and_other_peoples(tx: Connection) -> None:
    alice, bob = add(tx, "alice"), add(tx, "bob")
    for token in (b"one", b"two"):
        tokens.add_token(tx, bob.id, token, 1)
    tokens.add_token(tx, alice.id, b"hers", 1)
    tokens.end_other_tokens(tx, bob.id, b"two")
    assert used(tx, b"one", 2) is None
    assert used(tx, b"two", 2) == bob
    assert used(tx, b"hers", 2) == alice


def test_the_least_recently_used_token_makes_room(tx: Connection) -> None:
    bob = add(tx, "bob")
    for number in range(TOKENS_KEPT):
        tokens.add_token(tx, bob.id, b"%d" % number, number)
    used(tx, b"0", 1_000)
    tokens.add_token(tx, bob.id, b"new", 1_001)
    assert used(tx, b"1", 1_002) is None
    for kept in (b"0", b"2", b"new"):
        assert used(tx, kept, 1_002) == bob


def test_tokens_used_while_the_clock_was_ahead_do_not_outlive_those_in_use(tx: Connection) -> None:
    bob = add(tx, "bob")
    ahead = 10**12
    for number in range(TOKENS_KEPT):
        tokens.add_token(tx, bob.id, b"%d" % number, ahead + number)
    used(tx, b"0", 1)
    tokens.add_token(tx, bob.id, b"new", 2)
    tokens.add_token(tx, bob.id, b"newer", 3)
    for gone in (b"1", b"2"):
        assert used(tx, gone, 4) is None
    for kept in (b"0", b"3", b"new", b"newer"):
        assert used(tx, kept, 4) == bob


def test_a_password_is_replaced_for_one_account(tx: Connection) -> None:
    alice, bob = add(tx, "alice"), add(tx, "bob")
    users.set_password(tx, bob.id, "other")
    assert users.existing(tx, "bob").password == "other"
    assert users.existing(tx, "alice") == alice
