"""Asks for missing arguments: after `auth bob`, for the password, without showing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.protocol.errors import ChatError
from shared.protocol.kinds import NEW_PASSWORD, Secret
from shared.protocol.masking import takes_secrets
from shared.protocol.spec import TABLE, Arg, Request, Spec
from shared.protocol.values import BadValue
from shared.protocol.words import first_word, words_of


@dataclass(frozen=True, slots=True)
class ArgumentQuestion:
    """One argument to ask for."""

    arg: Arg

    @property
    def label(self) -> str:
        return self.arg.name.replace("_", " ").capitalize()

    @property
    def secret(self) -> bool:
        return isinstance(self.arg.kind, Secret)

    @property
    def twice(self) -> bool:
        """Whether to ask twice, because a mistake is invisible."""
        return self.arg.kind is NEW_PASSWORD

    def read(self, answer: str) -> Any:
        """Return the answer as the argument's value.

        Raises:
            BadValue: the answer is invalid; the text gives the reason.
        """
        return self.arg.kind.from_word(answer)


class ArgumentForm:
    """A command with secrets that lacks some arguments."""

    def __init__(self, spec: Spec, given: list[str]) -> None:
        self._spec = spec
        self._values: dict[str, Any] = {}
        for arg, word in zip(spec.words, given, strict=False):
            try:
                self._values[arg.name] = arg.kind.from_word(word)
            except BadValue as why:
                raise spec.refusal(spec.name, arg, str(why)) from None
        self.questions = [ArgumentQuestion(arg) for arg in spec.words[len(given) :] if arg.required]

    @property
    def spelling(self) -> str:
        return self._spec.name

    def answered(self, question: ArgumentQuestion, answer: str) -> None:
        """Store an answer.

        Raises:
            BadValue: the answer is invalid; ask again.
        """
        self._values[question.arg.name] = question.read(answer)

    def request(self) -> Request[Any]:
        """Return the complete command.

        Raises:
            ChatError: BAD_ARGUMENTS, the arguments contradict each other.
        """
        return self._spec.build(self._spec.name, self._values, None)


def form(line: str) -> ArgumentForm | ChatError | None:
    """Return the questions that complete `line`; None if it needs none."""
    name, rest = first_word(line)
    spec = TABLE.get(name.lower())
    if spec is None or not takes_secrets(spec) or spec.name != name.lower():
        return None
    given = [word.text for word in words_of(rest)]
    if len(given) >= sum(a.required for a in spec.words):
        return None
    try:
        return ArgumentForm(spec, given)
    except ChatError as error:
        return error
