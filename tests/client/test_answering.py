"""Answers of bots: to people only, and marked."""

from __future__ import annotations

from pathlib import Path

from tests.client.people import People, new_name, two


async def test_answer_goes_where_the_message_came_from(people: People) -> None:
    alice, bob = await two(people)
    group = (await alice.client.creategroup("team")).group
    await alice.client.invitegroup(group, bob.client.user)
    await alice.client.sendg(group, "all?")
    await alice.client.send(bob.client.user, "you?")
    await bob.until(lambda: len(bob.messages) == 2)
    answers = [await bob.client.answer(m, "yes") for m in bob.messages]
    assert [a.conversation for a in answers if a] == [group, alice.client.user]
    await alice.until(lambda: len(alice.messages) == 2)
    assert [m.bot for m in alice.messages] == [True, True]


async def test_answer_is_for_messages_of_people_only(people: People) -> None:
    """A loop of two programs, or of one with itself, would never end."""
    alice, bob = await two(people)
    again = people.listen(await people.sign_in(bob.client.user))
    await alice.client.send(bob.client.user, "from a program", bot=True)
    await again.client.send(alice.client.user, "from my other session")
    await again.client.send(bob.client.user, "a note")
    await alice.client.send(bob.client.user, "from a person")
    await bob.until(lambda: len(bob.messages) == 4)
    answered = [m.text for m in bob.messages if await bob.client.answer(m, "yes")]
    assert answered == ["from a person"]
    page = await bob.client.history(alice.client.user)
    told = [await again.client.answer(m, "yes") is not None for m in page.messages]
    assert told == [False, False, True, False], "what was read is judged as what was told"


async def test_a_bot_marks_all_it_sends_but_what_it_passes_on(
    people: People, tmp_path: Path
) -> None:
    alice = await people.join(new_name("alice"))
    robot = await people.sign_in(new_name("robot"), bot=True)
    group = (await robot.creategroup("team")).group
    await robot.invitegroup(group, alice.client.user)
    file = tmp_path / "a.txt"
    file.write_text("hi")
    await robot.send(alice.client.user, "text")
    await robot.sendg(group, "text")
    await robot.sendfile(alice.client.user, "a", b"hi")
    await robot.sendgroupfile(group, "a", b"hi")
    await robot.send_file(alice.client.user, file)
    await robot.send(alice.client.user, "passed on", bot=False)
    await alice.until(lambda: len(alice.messages) == 6)
    assert [m.bot for m in alice.messages if m.text != "passed on"] == [True] * 5
    assert [m.bot for m in alice.messages if m.text == "passed on"] == [None]
