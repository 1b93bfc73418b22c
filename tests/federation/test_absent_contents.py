"""Contents that are still being downloaded from another realm, in admin commands on the data."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.admin.command import done
from tests.federation.handmade import PIECE, Stage, described
from tests.federation.two_realms import fetched, pending
from tests.realserver import RealServer
from tests.system.transfers import encoded, noise


async def test_a_backup_holds_what_is_here_and_the_rest_is_fetched_after_restoring(
    stage: Stage, tmp_path: Path
) -> None:
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    content = noise(3 * PIECE)
    await bob.ask("sendfile", to="bob", name="own", data=encoded(noise(100)))
    assert await mallory.send("bob", file=described(content)) is None
    await mallory.give(content, until=PIECE)
    archive, data = tmp_path / "backup.tar", stage.beta.data
    assert "1 files" in await asyncio.to_thread(done, "backup", archive, data=data)
    await asyncio.to_thread(done, "export", "bob", tmp_path / "bob.zip", data=data)
    stage.beta.kill()
    (tmp_path / "restored").mkdir()
    restored = RealServer(tmp_path / "restored", "--realm", "beta")
    await asyncio.to_thread(done, "restore", archive, data=restored.data)
    stage.beta = restored
    restored.start()
    try:
        assert len(pending(restored)) == 1
        await mallory.dial(restored)
        await mallory.give(content)
        bob = await stage.sign_in("bob", register=False)
        (message,) = (await bob.ask("history", conversation="eve@mallory"))["messages"]
        assert await fetched(bob, message["file"]) == content
    finally:
        restored.kill()
