"""What is generated from the command table cannot be out of date."""

import inspect

import pytest

from shared.client.methods import Methods
from shared.protocol.errors import ChatError
from shared.protocol.records import EVENTS
from shared.protocol.reference import WRITTEN, for_people, help_page, markdown
from shared.protocol.spec import specs
from tests.realserver import ROOT


@pytest.mark.parametrize("path", WRITTEN)
def test_what_is_generated_is_what_the_table_says(path: str) -> None:
    written = (ROOT / path).read_text(encoding="utf-8")
    assert written == WRITTEN[path](), "run ./chat reference"


def test_the_reference_names_every_command_and_event() -> None:
    headings = {line.removeprefix("### ") for line in markdown().splitlines()}
    assert {spec.name for spec in specs()} | EVENTS.keys() <= headings


def test_every_command_is_a_method_with_its_arguments_and_its_reply() -> None:
    for spec in for_people():
        method = inspect.signature(getattr(Methods, spec.name))
        assert list(method.parameters) == ["self", *(a.name for a in spec.args)]
        assert method.return_annotation == spec.reply.__name__


def test_help_lists_the_commands_and_explains_one_under_either_spelling() -> None:
    assert len(help_page(None).commands) == len(for_people())
    page = help_page("SendPCRealm")
    assert page.commands[0].usage == "sendpcrealm <realm> <to> <text...>"
    assert "the same: send <to> <text...>" in page.details
    with pytest.raises(ChatError, match=r"did you mean send\?"):
        help_page("snd")
