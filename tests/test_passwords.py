"""Rules of password hashing: addresses take turns, it is bounded, unknown users cost a hash too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.passwords import THREADS, Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def slow(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hashes that end when this event is set; each returns the password."""
    go_on = threading.Event()

    class Hasher:
        """In place of argon2."""

        def hash(self, password: str) -> str:
            assert go_on.wait(10)
            return password

    monkeypatch.setattr(passwords, "_hasher", Hasher())
    yield go_on
    go_on.set()


async def test_a_hash_is_argon2id_at_the_floor_and_fits_its_password_only(
    passwords: Passwords,
) -> None:
    stored = await passwords.hash("secret1", "192.0.2.1")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "secret1" not in stored
    assert await passwords.verify(stored, "secret1", "192.0.2.1") is True
    for wrong in ("secret2", "Secret1", "secret1 ", ""):
        assert await passwords.verify(stored, wrong, "192.0.2.1") is False
    assert await passwords.hash("secret1", "192.0.2.1") != stored


@pytest.mark.parametrize("stored", ["", "no hash", "$argon2id$v=19$m=19456,t=2,p=1$"])
async def test_a_stored_hash_that_is_none_fits_nothing(passwords: Passwords, stored: str) -> None:
    assert await passwords.verify(stored, "secret1", "192.0.2.1") is False


MAC, WINDOWS = normalize("NFD", "pässwörd"), normalize("NFC", "pässwörd")


async def test_a_password_fits_however_a_keyboard_spells_it(passwords: Passwords) -> None:
    for typed in (MAC, WINDOWS):
        stored = await passwords.hash(typed, "192.0.2.1")
        for again in (MAC, WINDOWS):
            assert await passwords.verify(stored, again, "192.0.2.1") is True
            assert await passwords.renewed(stored, again, "192.0.2.1") is None
        assert await passwords.verify(stored, "password", "192.0.2.1") is False


async def test_an_old_hash_fits_as_it_was_typed_and_is_renewed(passwords: Passwords) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(MAC)
    assert await passwords.verify(old, MAC, "192.0.2.1") is True
    assert await passwords.verify(old, WINDOWS, "192.0.2.1") is False
    renewed = await passwords.renewed(old, MAC, "192.0.2.1")
    assert renewed is not None
    assert await passwords.verify(renewed, WINDOWS, "192.0.2.1") is True


@pytest.mark.parametrize("stored", [None, "hash"])
@pytest.mark.parametrize(("typed", "hashes"), [("secret1", 1), (WINDOWS, 1), (MAC, 2)])
async def test_a_wrong_password_takes_as_long_for_everybody(
    passwords: Passwords,
    monkeypatch: pytest.MonkeyPatch,
    stored: str | None,
    typed: str,
    hashes: int,
) -> None:
    """Only the spelling decides how often it is hashed, not what is stored."""
    checked: list[str] = []

    class Counted:
        """Fits nothing."""

        def verify(self, stored: str, password: str) -> bool:
            checked.append(password)
            raise VerifyMismatchError

    monkeypatch.setattr(passwords, "_hasher", Counted())
    assert await passwords.verify(stored, typed, "192.0.2.1") is False
    assert len(checked) == hashes


async def test_an_unknown_user_takes_a_hash_too(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []
    real = passwords._hasher

    class Watched:
        """Notes what is checked, and that a hash was made for it."""

        def verify(self, stored: str, password: str) -> bool:
            with pytest.raises(VerifyMismatchError) as mismatch:
                real.verify(stored, password)
            checked.append(stored)
            raise mismatch.value

    monkeypatch.setattr(passwords, "_hasher", Watched())
    assert await passwords.verify(None, "secret1", "192.0.2.1") is False
    (against,) = checked
    assert against.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_addresses_take_turns(passwords: Passwords, slow: threading.Event) -> None:
    order: list[str] = []

    async def one(password: str, address: str) -> None:
        order.append(await passwords.hash(password, address))

    tasks = [asyncio.create_task(one(f"many {n}", "192.0.2.66")) for n in range(40)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(one(f"few {n}", f"192.0.2.{n}")) for n in range(3)]
    await asyncio.sleep(0)
    slow.set()
    await asyncio.gather(*tasks)
    last_of_few = max(order.index(f"few {n}") for n in range(3))
    # Those that ran already, one turn of each address, and what two threads may swap.
    assert last_of_few <= THREADS + 3 + 1 + THREADS
    many = [word for word in order if word.startswith("many")]
    assert len(many) == 40


async def test_the_queue_of_an_address_is_bounded(
    passwords: Passwords, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords._threads, "_most_each", 3)
    tasks = [asyncio.create_task(passwords.hash("x", "192.0.2.66")) for _ in range(THREADS + 3)]
    await asyncio.sleep(0)
    with pytest.raises(ChatError) as refused:
        await passwords.hash("x", "192.0.2.66")
    assert refused.value.code is ErrorCode.UNAVAILABLE
    tasks.append(asyncio.create_task(passwords.hash("x", "192.0.2.1")))
    await asyncio.sleep(0)
    slow.set()
    assert await asyncio.gather(*tasks) == ["x"] * (THREADS + 4)
    assert await passwords.hash("y", "192.0.2.66") == "y"


async def test_the_whole_queue_is_bounded(
    passwords: Passwords, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords._threads, "_most", 5)
    tasks = [asyncio.create_task(passwords.hash("x", f"192.0.2.{n}")) for n in range(THREADS + 5)]
    await asyncio.sleep(0)
    with pytest.raises(ChatError) as refused:
        await passwords.hash("x", "192.0.2.99")
    assert refused.value.code is ErrorCode.UNAVAILABLE
    slow.set()
    await asyncio.gather(*tasks)
    turns = passwords._threads
    assert (turns._count, turns._free, len(turns._waiting)) == (0, THREADS, 0)


async def test_who_no_longer_waits_disturbs_nobody(
    passwords: Passwords, slow: threading.Event
) -> None:
    tasks = [asyncio.create_task(passwords.hash(f"{n}", "192.0.2.1")) for n in range(6)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    slow.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found[1::2] == ["1", "3", "5"]
    assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])


async def test_the_loop_goes_on_while_a_hash_is_made(
    passwords: Passwords, slow: threading.Event
) -> None:
    task = asyncio.create_task(passwords.hash("x", "192.0.2.1"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    slow.set()
    assert await task == "x"
