"""Every play, in this process and with a real server; and what the player itself promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cluster import KINDS, Cluster
from tests.conversations.play import BadPlay, Failed, Performance, parse, read
from tests.conversations.stages import InProcess, Served
from tests.realserver import RealServer
from tests.world import World

PLAYS = sorted(Path(__file__).parent.glob("*.chat"))


def title(path: Path) -> str:
    return path.stem


@pytest.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[InProcess]:
    """A realm in this process for one play."""
    async with World(tmp_path, database=database_url) as world:
        yield InProcess(world)


@pytest.mark.parametrize("path", PLAYS, ids=title)
async def test_play_in_this_process(path: Path, stage: InProcess) -> None:
    await Performance(read(path), stage).run()


@pytest.fixture(scope="module", params=KINDS)
def theatre(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """One server for all plays on one kind of database."""
    environment = {}
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        environment["CHAT_DATABASE"] = cluster.new_database()
    server = RealServer(tmp_path_factory.mktemp("theatre"), environment=environment)
    server.start()
    yield server
    server.kill()


@pytest.mark.system
@pytest.mark.parametrize("path", PLAYS, ids=title)
async def test_play_with_a_real_server(path: Path, theatre: RealServer) -> None:
    logged = len(theatre.log)
    await Performance(read(path), Served(theatre.url)).run()
    assert "Traceback" not in theatre.log[logged:]


def test_no_two_plays_share_a_person_so_that_one_server_serves_all() -> None:
    casts = [{line.user.lower() for line in read(path).lines} for path in PLAYS]
    assert len(set().union(*casts)) == sum(map(len, casts))


# The player


@pytest.mark.parametrize(
    "text, what",
    [
        ("# only a title\n", "wrong.chat: nothing happens"),
        ("alice signs in\nalice says hi\n", "wrong.chat:2: neither speech nor direction"),
        ("alice>send bob hi\n", "wrong.chat:1: neither speech nor direction"),
        ("\nalice signs in\n  | hi\n", "wrong.chat:3: nothing is said"),
        ("bob is disconnected with\n", "wrong.chat:1: a close code"),
        ("bob signs in 4501\n", "wrong.chat:1: a close code"),
    ],
)
def test_what_is_no_play_is_refused_with_file_and_line(text: str, what: str) -> None:
    with pytest.raises(BadPlay, match=what):
        parse("wrong.chat", text)


GREETING = "ann signs in\nben signs in\nann> send ben hi\n"


@pytest.mark.parametrize(
    "end, what",
    [
        ("ann< OK Sent to ben as message 2\nben< [ann] hi", "^play:4: ann should see"),
        ("ann< OK ...\nben< [ann] hi there", "^play:5: ben should see"),
        ("ann< OK ...", "^play:4: ben by then had also seen: .ann. hi"),
        ("ben< [ann] hi", "^play:4: ann by then had also seen: OK Sent"),
        ("ann< OK Sent to {ben} as message 1\nben< [{ben}] hi", "^play:5: ben should see"),
        ("ann< OK ...\nben< [ann] hi\nben> send {who} hi", "^play:6: ben cannot know {who}"),
        ("ann< OK ...\nben< [ann] hi\ncarl> ping", "^play:6: carl is not on stage"),
        ("ann< OK ...\nben< [ann] hi\nann signs in", "^play:6: ann is on stage already"),
        ("ann< OK ...\nben< [ann] hi\nben is disconnected with 4501", "^play:6: ben heard nothing"),
    ],
)
async def test_a_play_fails_at_the_line_that_is_not_so(
    end: str, what: str, stage: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.conversations.play.LIMIT", 1.0)
    with pytest.raises(Failed, match=what):
        await Performance(parse("play", GREETING + end), stage).run()


async def test_what_varies_may_be_left_open(stage: InProcess) -> None:
    end = """
        ann< OK Sent to {who} as ...
        ben< [ann] hi
        ben> history ann
        ben< OK ...
           | ...
        ann> send {who} {U+0041}
        ann< OK Sent to {who} as message 2
        ben< [ann] A
    """
    play = parse("play", GREETING + dedent(end))
    await Performance(play, stage).run()
