"""What is temporary is asked again, and nothing else is."""

from __future__ import annotations

import pytest

from shared.client.errors import NoAnswer
from shared.client.patience import patiently
from shared.protocol.errors import ChatError, ErrorCode

SLOW = ChatError(ErrorCode.RATE_LIMITED, "too fast", retry_after=0.001)
LONG = ChatError(ErrorCode.RATE_LIMITED, "too fast", retry_after=60)
NEVER = ChatError(ErrorCode.FORBIDDEN, "no")


class Server:
    """Answers with one thing after the other."""

    def __init__(self, *answers: Exception | str) -> None:
        self.answers = list(answers)

    async def ask(self) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_temporary_refusal_is_asked_again() -> None:
    server = Server(SLOW, SLOW, "yes", "never asked")
    assert await patiently(server.ask, 0.001) == "yes"
    assert server.answers == ["never asked"]


@pytest.mark.parametrize("final", [NEVER, LONG, NoAnswer("gone")])
async def test_what_will_not_change_soon_is_raised(final: Exception) -> None:
    server = Server(SLOW, final, "never asked")
    with pytest.raises(type(final)) as raised:
        await patiently(server.ask, 0.001, longest=1)
    assert raised.value is final and server.answers == ["never asked"]


async def test_no_answer_is_asked_again_where_that_is_wanted() -> None:
    server = Server(NoAnswer("gone"), SLOW, "yes")
    assert await patiently(server.ask, 0.001, unanswered=True) == "yes"
