"""The import of the old Simple-Chatting's data: every valid entry, or nothing at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

from sqlalchemy import Connection

from shared.faults import shown
from shared.protocol.errors import ChatError
from shared.protocol.media_types import media_type
from shared.protocol.values import BadValue
from ws_server.admin import folder, old_data
from ws_server.admin.commands import (
    AdminRefused,
    Argument,
    Given,
    HandedFile,
    Parts,
    Say,
    from_folder,
)
from ws_server.admin.import_stage import Stage
from ws_server.admin.old_data import OldMessage, OldUser
from ws_server.admin.user_mapping import People
from ws_server.passwords import THREADS
from ws_server.realm import Realm
from ws_server.store.accounts import users
from ws_server.store.admin import imports
from ws_server.store.admin.imports import LINES, Group, Imported, Line, NewUser, Private
from ws_server.store.contents.files import StoredFile
from ws_server.store.engines import bulk
from ws_server.store.groups.group_members import MAX_MEMBERS
from ws_server.store.ids import new_id

Keyed = list[tuple[OldMessage, str]]
"""Messages with their idempotency keys."""


def read(given: Given) -> Iterator[HandedFile]:
    """Read the folder in the operator's process."""
    return folder.read(Path(given["folder"]), old_data.FOLDERS, "the old Simple-Chatting")


@from_folder(
    "import-json",
    read,
    Argument("folder", "the folder of the old data, with users, groups and privates in it"),
    begins=True,
)
async def import_json(realm: Realm, given: Given, say: Say, parts: Parts) -> None:
    """Import the data of the old Simple-Chatting; a repeated import adds only new data."""
    try:
        with closing(await realm.blobs.run(realm.blobs.scratch)) as file:
            prepared = Preparation(realm, Stage(file), say)
            await prepared.begin()
            async for part in parts:
                await prepared.take(part)
            done = await prepared.write()
    except ChatError as error:
        raise AdminRefused(
            f"{error.message}. Once that is fixed, run this again; nothing is imported twice"
        ) from error
    report(say, prepared, done)
    if not any(user.admin for user in await realm.database.read(users.all_accounts)):
        say("Nobody is an admin of this realm; choose one with: admin user grant-admin NAME")


def report(say: Say, prepared: Preparation, done: Imported) -> None:
    """Print the counts of the import, and the entries skipped."""
    skipped = prepared.skipped + done.refused
    if done.refused:
        say(f"{done.refused} messages of people who left their group meanwhile were skipped")
    say(
        f"Imported {done.users} users, {done.groups} groups, {done.messages} messages "
        f"({done.files} of them files); skipped {skipped}"
    )
    if prepared.existing:
        say(f"{prepared.existing} users have an account here already, which is unchanged")
    if done == Imported(refused=done.refused):
        say("Nothing new: all valid entries were imported before")
    if skipped:
        say("Skipped entries are listed above; fix them and run this again to add them")


class Preparation:
    """Reads file after file and stages new data; the realm is unchanged until `write`."""

    def __init__(self, realm: Realm, stage: Stage, say: Say) -> None:
        self._realm = realm
        self._run = realm.blobs.run
        self._read = realm.database.read
        self._stage = stage
        self._say = say
        self._users: list[OldUser] | None = []
        self._people = People({})
        self._reserved = 0
        self._staged = False
        self.skipped = 0
        self.existing = 0

    async def begin(self) -> None:
        """Load the accounts of the realm."""
        self._people = People(await self._read(imports.accounts_by_key))

    def _note(self, name: str, why: str) -> None:
        self._say(f"{shown(name)}: {why}")

    def _skip(self, name: str, why: str) -> None:
        self.skipped += 1
        self._note(name, f"{why}; skipped")

    async def take(self, part: HandedFile) -> None:
        """Stage the next file; files of users must be first.

        Raises:
            ChatError: UNAVAILABLE, the store or the disk refused.
        """
        kind, _, file = part.name.partition("/")
        stem = file.removesuffix(".json")
        if kind != "users":
            self._settle()
        try:
            if part.fault:
                raise BadValue(part.fault)
            if kind == "users":
                old_data.name(stem)
            body = await self._run(old_data.load, part.content)
            if kind == "users":
                self._user(part.name, old_data.user(stem, body))
            elif kind == "groups":
                await self._group(part.name, stem, body)
            else:
                await self._private(part.name, stem, body)
        except BadValue as why:
            self._skip(part.name, str(why))

    def _user(self, name: str, user: OldUser) -> None:
        assert self._users is not None
        self._users.append(user)

    def _settle(self) -> None:
        """Match the accounts, once all files of users were read."""
        if self._users is None:
            return
        twins = self._people.add(self._users)
        for user, first in twins:
            self._skip(
                f"users/{user.name}.json",
                f"names ignore case, and {first} has this one; rename it, also as a sender",
            )
        self.existing = len(self._users) - len(twins) - len(self._people.new)
        for user in self._people.new.values():
            for fault in user.faults:
                self._note(f"users/{user.name}.json", fault)
        self._users = None

    async def _group(self, name: str, old_id: str, body: object) -> None:
        group = old_data.group(old_id, body)
        for fault in group.faults:
            self._note(name, fault)
        members: dict[str, None] = {}
        for member in group.members:
            folded = self._people.find(member)
            if folded is None:
                self._skip(name, f"the member {_shown(member)} has no account")
            elif len(members) == MAX_MEMBERS and folded not in members:
                self._skip(name, f"a group has at most {MAX_MEMBERS:,} members; {_shown(member)}")
            else:
                members[folded] = None
        if not members:
            raise BadValue("no member has an account; put one into members")
        known = await self._read(imports.imported_group, old_id)
        if known is None:
            here: Set[str] = members.keys()
            self._reserved = max(self._reserved, imports.kept_number(old_id) or 0)
        else:
            number, ids = known
            here = {m for m in members if m in self._people.new or self._people.id(m) in ids}
        fresh = await self._fresh(name, group.history, members.keys(), "a member with an account")
        for message, _ in fresh:
            if message.sender not in here:
                self._skip(name, f"{message.sender} is not in #{number} any more; a message")
        fresh = [(message, key) for message, key in fresh if message.sender in here]
        if known is None or fresh or not members.keys().isdisjoint(self._people.new):
            await self._run(self._add, Group(old_id, group.name, list(members)), fresh)

    async def _private(self, name: str, stem: str, body: object) -> None:
        history = old_data.chat(body)
        people = self._people.of_chat(stem, history)
        fresh = await self._fresh(name, history, set(people), "one of the two")
        if fresh:
            await self._run(self._add, Private(people), fresh)

    async def _fresh(
        self, name: str, history: Sequence[object], people: Set[str], wanted: str
    ) -> Keyed:
        """Return the messages of a history that are not here yet; report invalid entries."""
        found, faults = await self._run(self._messages, name, history, people, wanted)
        for number, why in faults:
            self._skip(f"{name}, entry {number}", why)
        asked = [
            (id, key)
            for message, key in found
            if (id := self._people.id(message.sender)) is not None
        ]
        used = await self._read(bulk.used_keys, asked)
        return [
            (message, key)
            for message, key in found
            if (self._people.id(message.sender), key) not in used
        ]

    def _messages(
        self, name: str, history: Sequence[object], people: Set[str], wanted: str
    ) -> tuple[Keyed, list[tuple[int, str]]]:
        """Parse a history; faults carry the entry's number. Runs in a thread."""
        found: Keyed = []
        faults: list[tuple[int, str]] = []
        repetitions: Counter[bytes] = Counter()
        for number, entry in enumerate(history, 1):
            try:
                for message in old_data.messages(entry, self._realm.max_file):
                    sender = self._people.find(message.sender)
                    if sender is None or sender not in people:
                        raise BadValue(f"the sender {_shown(message.sender)} is not {wanted}")
                    message.sender = sender
                    digest = message.digest(name)
                    found.append((message, old_data.key(digest, repetitions[digest])))
                    repetitions[digest] += 1
            except BadValue as why:
                faults.append((number, str(why)))
        return found, faults

    def _add(self, place: Group | Private, fresh: Keyed) -> None:
        """Store the contents of files and stage the messages. Runs in a thread."""
        self._staged = True
        self._stage.add(place)
        for at in range(0, len(fresh), LINES):
            self._stage.add([self._line(*pair) for pair in fresh[at : at + LINES]])

    def _line(self, message: OldMessage, key: str) -> Line:
        if (file := message.file) is None:
            return Line(message.sender, message.text, key)
        sha256 = self._realm.blobs.put(file.content())
        kind = media_type(file.name)
        stored = StoredFile(new_id("f"), file.name, file.size, kind, sha256)
        return Line(message.sender, "", key, stored)

    async def write(self) -> Imported:
        """Write what was staged in one transaction.

        Raises:
            ChatError: UNAVAILABLE, the store or the disk refused; the realm is unchanged.
        """
        self._settle()
        people = await self._hashed()
        if not people and not self._staged:
            return Imported()
        await self._run(self._finish)
        given_up = Event()

        def change(tx: Connection, now: int) -> Imported:
            return imports.write(
                tx,
                now,
                people,
                self._stage.chats,
                self._stage.steps(),
                self._reserved,
                lambda: not given_up.is_set(),
            )

        writing = asyncio.ensure_future(self._realm.journal.write(change))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The transaction reads the stage, so the stage must stay open until its end.
            given_up.set()
            with suppress(ChatError):
                await writing
            raise

    def _finish(self) -> None:
        """Flush the stage, and protect all contents from the sweep until messages refer to them."""
        self._stage.finish()
        for sha256 in self._stage.hashes():
            if not self._realm.blobs.renew(sha256):
                raise FileNotFoundError(sha256)

    async def _hashed(self) -> list[NewUser]:
        """Hash the passwords of new accounts, a few at a time."""
        waiting = iter(list(self._people.new.values()))
        hashed: list[NewUser] = []

        async def work() -> None:
            for user in waiting:
                password = user.password
                if password:
                    password = await self._realm.passwords.hash(password, "admin")
                hashed.append(NewUser(user.name, user.real_name, user.country, password))

        await asyncio.gather(*(work() for _ in range(2 * THREADS)))
        return hashed


def _shown(name: object) -> str:
    """Return a name of any type, shortened to one line."""
    return shown(str(name))[:64]
