"""People talk in real browser windows over a real server, which also serves the app."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.flet_app.png import header, png, write_png
from tests.flet_app.talk import PHONE, Person, Room, room
from tests.realserver import RealServer

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    # One browser for all: starting the engine in a new one takes seconds.
    pytest.mark.asyncio(loop_scope="module"),
]
Pair = tuple[Person, Person]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(web_realm: RealServer) -> AsyncIterator[Room]:
    async with room(web_realm.web_url) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def windows(browser: Room) -> AsyncIterator[Room]:
    """Further windows, for one test."""
    async with browser.closing() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(browser: Room) -> Pair:
    """Two people with each other's chat open; tests leave them so."""
    ana, bob = await browser.registered("ana"), await browser.registered("bob")
    await ana.chat("bob")
    await ana.say("Hello 👋")
    await bob.open("ana")
    await bob.sees("Hello")
    return ana, bob


def picture(path: Path) -> Path:
    """Write a PNG of a few colours."""
    return write_png(path, 320, 200, lambda x, y: (x * 255 // 320, y * 255 // 200, 150))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_message_is_seen_at_once(pair: Pair) -> None:
    """From the key to the other's screen: two clients, the app, the realm and its disk."""
    a, b = pair
    took = []
    for n in range(5):
        watch = await b.page.evaluate_handle(
            "text => ({seen: new Promise(done => {"
            " const look = () => { for (const e of document.querySelectorAll("
            "'[flt-semantics-identifier=message]')) if (e.textContent.includes(text)) {"
            " done(Date.now()); return } requestAnimationFrame(look) }; look() })})",
            f"ping {n}.",
        )
        await a.type(f"ping {n}.")
        pressed = await a.page.evaluate("Date.now()")
        await a.page.keyboard.press("Enter")
        took.append(await watch.evaluate("it => it.seen") - pressed)
        await a.sees(f"ping {n}.", "read")
    # The engine draws without a graphics card here, and tells screen readers late.
    assert sorted(took)[2] < 1_000, took


async def test_pictures_and_files_are_sent_seen_and_saved(pair: Pair, tmp_path: Path) -> None:
    a, b = pair
    note = tmp_path / "note ünïcode.txt"
    note.write_bytes(b"some words\n" * 1000)
    await a.attach(picture(tmp_path / "sunset.png"), note)
    await b.sees("sunset.png")
    await b.sees("note ünïcode.txt")
    await b.button("Enlarge sunset.png").wait_for()
    await a.sees("sunset.png", "read")
    await b.picture("files")
    async with b.page.expect_download() as download:
        await b.button("Save note ünïcode.txt").click()
    saved = await download.value
    assert saved.suggested_filename == "note ünïcode.txt"
    assert _content(await saved.path()) == b"some words\n" * 1000
    await b.button("Enlarge sunset.png").click()
    await b.page.get_by_role("img", name="sunset.png").wait_for()
    await b.picture("enlarged")
    await b.button("Close").click()
    await b.box().wait_for()


async def test_a_pasted_picture_is_sent(pair: Pair, tmp_path: Path) -> None:
    """By the browser's own clipboard, as a screenshot is."""
    a, b = pair
    content = base64.b64encode(picture(tmp_path / "x.png").read_bytes()).decode()
    await a.page.bring_to_front()
    await a.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await a.page.evaluate(
        "async content => { const got = await fetch('data:image/png;base64,' + content);"
        " const item = new ClipboardItem({'image/png': await got.blob()});"
        " await navigator.clipboard.write([item]) }",
        content,
    )
    await a.type("x")  # so that the box surely has the focus
    await a.page.keyboard.press("Control+V")
    await a.sees("image.png")
    await b.button("Enlarge image.png").wait_for()
    await a.sees("image.png", "read")
    await a.box().fill("")


async def test_no_file_is_given_to_another_visitor(
    windows: Room, pair: Pair, tmp_path: Path
) -> None:
    a, b = pair
    asked: list[str] = []
    b.page.on("request", lambda request: asked.append(request.url))
    await a.attach(picture(tmp_path / "secret.png"))
    await b.button("Enlarge secret.png").wait_for()
    async with b.page.expect_download():
        await b.button("Save secret.png").click()
    links = {url for url in asked if "/files/" in url}
    assert len(links) == 2
    stranger = await windows.person()
    for link in links:
        # Anybody's own cookie is not the one that the link was made for.
        assert (await stranger.page.request.get(link)).status == 404
        assert (await stranger.page.context.request.get(link, headers={"Cookie": ""})).status == 404


async def test_files_that_lie_about_being_pictures_are_said_to_be_none(
    pair: Pair, tmp_path: Path
) -> None:
    """They took 1.5 GB in each browser, or showed nothing and said nothing."""
    a, b = pair
    asked: list[str] = []
    b.page.on("request", lambda request: asked.append(request.url))
    whole = picture(tmp_path / "cut.png").read_bytes()
    lies = {
        "bomb.png": png(header(20_000, 20_000)),
        "page.png": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "cut.png": whole[: len(whole) // 2],
    }
    for name, content in lies.items():
        await a.attach(_written(tmp_path / name, content))
    await b.sees("bomb.png", "20,000 × 20,000 pixels, too many to be shown")
    await b.sees("page.png", "This picture cannot be shown")
    await b.button("Enlarge cut.png").click()
    await b.page.get_by_text("This picture is damaged").last.wait_for()
    await b.button("Close").click()
    assert len({url for url in asked if "/files/" in url}) == 1, "no other got to the browser"
    async with b.page.expect_download() as download:
        await b.button("Save bomb.png").click()
    assert _content(await (await download.value).path()) == lies["bomb.png"]


async def test_two_windows_of_one_person_agree(windows: Room, pair: Pair) -> None:
    a, b = pair
    second = await windows.beside(a)
    await second.conversation("bob").wait_for()
    await a.page.bring_to_front()  # in a window behind another one hardly anything is drawn
    await a.button("New group").click()
    await a.box("Group name").wait_for()
    await a.submit("Create", a.title("elsewhere"), Group_name="elsewhere")
    await b.say("one")
    await b.say("two")
    for window in (a, second):
        await window.until_title("(2) Simple Chatting")
    await second.page.bring_to_front()
    await second.open("bob")
    for window in (a, second):
        await window.until_title("Simple Chatting")
    await second.say("from the second window")
    await a.page.bring_to_front()
    await a.open("bob")
    await a.sees("from the second window", "ana")
    for window in (a, second):
        last = (await window.messages())[-3:]
        for text, words in zip(last, ("one", "two", "from the second window"), strict=True):
            assert words in text


async def test_a_click_on_a_conversation_that_changes_meanwhile_was_lost(pair: Pair) -> None:
    a, b = pair
    await a.chat("ana")
    await b.say("be at the top")
    tile = a.conversation("bob")
    await tile.filter(has_text="be at the top").wait_for()
    at = await tile.bounding_box()
    assert at is not None
    await a.page.mouse.move(at["x"] + 100, at["y"] + 30)
    await a.page.mouse.down()
    await b.say("while ana clicks")
    await tile.filter(has_text="while ana clicks").wait_for()
    await a.page.mouse.up()
    await a.sees("while ana clicks")


async def test_a_reload_comes_back_to_where_one_was(pair: Pair) -> None:
    a, b = pair
    await a.say("before")
    await a.type("half a sen")
    await a.page.reload()
    await a.listen()
    await a.sees("before")
    assert await a.page.evaluate("location.pathname") == "/c/bob"
    await b.say("after")
    await a.sees("after")
    last = await a.messages()
    assert "before" in last[-2] and "after" in last[-1]
    await a.box().fill("")


async def test_groups_with_their_people(pair: Pair) -> None:
    a, b = pair
    await a.button("New group").click()
    await a.box("Group name").wait_for()
    await a.submit("Create", a.title("Cake lovers"), Group_name="Cake lovers 🎂")
    await a.button("About this conversation").click()
    await a.box("Person").wait_for()
    nobody = a.complaint("There is no person with this name.")
    await a.submit("Invite", nobody, Person="nobody-at-all")
    await a.submit("Invite", a.button("Remove bob"), Person="bob")
    notice = b.page.get_by_test_id("notice").filter(has_text="You were added to Cake lovers")
    told, written = await notice.bounding_box(), await b.box().bounding_box()
    assert told and written and told["y"] + told["height"] < written["y"] - 300
    await a.picture("members")
    await a.button("Close").click()
    await a.say("Who bakes?")
    await b.open("Cake lovers")
    await b.sees("Who bakes?", "ana")
    await b.say("Me, tomorrow")
    await a.sees("Me, tomorrow", "bob")
    await a.picture("group")
    await a.button("About this conversation").click()
    await a.button("Remove bob").click()
    await a.page.get_by_role("button", name="Remove", exact=True).click()
    await b.conversation("Cake lovers").wait_for(state="detached")
    await a.button("Leave group").click()
    await a.button("Leave group").click()
    await a.conversation("Cake lovers").wait_for(state="detached")
    await a.open("bob")
    await b.open("ana")


async def test_lines_drafts_and_commands(pair: Pair) -> None:
    a, b = pair
    await a.type("first")
    await a.page.keyboard.press("Shift+Enter")
    await a.page.keyboard.type("second")
    await a.page.keyboard.press("Enter")
    await b.sees("first\nsecond")
    await a.type("a thought for later")
    await a.chat("ana")
    await expect(a.box()).to_have_value("")
    await a.open("bob")
    await a.finds_written("a thought for later")
    await a.box().fill("")
    await a.type("/sendpc")
    await a.button("/sendpcrealm <realm> <to> <text...>").wait_for()
    await a.picture("commands")
    await a.box().fill("")
    await a.say("/send bob by command")
    await b.sees("by command", "ana")
    await a.sees("by command")
    await a.say("/sendd x")
    await a.page.get_by_text("did you mean send?").wait_for()
    await a.say("/passwd secret12 secret1234")
    await a.page.get_by_text("The password is changed").wait_for()
    assert not await a.page.get_by_text("secret1234").count()


async def test_a_phone_shows_one_pane_at_a_time(windows: Room, pair: Pair) -> None:
    a, _ = pair
    phone = await windows.person(viewport=PHONE, color_scheme="dark")
    await phone.fill(Username="bob", Password="secret12")
    await phone.picture("phone-sign-in")
    await phone.submit("Sign in", phone.conversation("ana"), Username="bob", Password="secret12")
    await phone.picture("phone-list")
    await phone.open("ana")
    assert not await phone.conversation("ana").count()
    await phone.say("from the phone")
    await a.sees("from the phone", "bob")
    await phone.picture("phone-chat")
    await phone.button("Back to the list").click()
    await phone.conversation("ana").wait_for()


async def test_old_messages_come_while_scrolling_back(windows: Room, pair: Pair) -> None:
    a, b = pair
    for n in range(8):
        await b.say("\n".join(f"line {n}.{i}" for i in range(30)))
        await a.sees(f"line {n}.29")
    later = await windows.beside(a)
    await later.conversation("bob").wait_for()
    await later.open("bob")
    await later.sees("line 7.29")
    for _ in range(40):
        await later.page.mouse.move(800, 400)
        await later.page.mouse.wheel(0, -1200)
        await later.page.wait_for_timeout(80)
        if await later.message("Hello").count():
            break
    await later.sees("Hello")
    # The list glides on for a moment.
    before: list[str] = []
    while before != (before := await later.messages()):
        await later.page.wait_for_timeout(300)
    await b.say("while you read")
    await later.button("Jump to newest (1 new)").wait_for()
    assert await later.messages() == before
    await later.picture("scrolled-back")
    await later.button("Jump to newest").click()
    await later.sees("while you read", "bob")
