"""The app's sentences in the language of one person."""

from __future__ import annotations

from flet_app.error_texts import WHY
from flet_app.host import LANGUAGES, NoRoom, TooManyFiles
from flet_app.texts import TEXTS
from shared.client import ChatError, ErrorCode, NoAnswer, NotSent


class Texts:
    """The sentences in one language, by name: `texts("sign_in")`."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._column = LANGUAGES.index(self.language)

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a sentence with the values filled in."""
        text = TEXTS[key][self._column]
        return text.format(**values) if values else text

    def why(self, reason: str) -> str:
        """Return the reason for a lost connection, in plain words instead of the system's."""
        said = reason.lower()
        for words, sentence in WHY.items():
            if words in said:
                return self(sentence)
        return reason

    def explain(self, error: Exception) -> str:
        """Return the sentence that a person reads for an error.

        Codes without a sentence here show the realm's own, which is more exact.
        """
        match error:
            case ChatError(code=ErrorCode.RATE_LIMITED):
                return self("error_rate_limited", wait=f"{error.retry_after or 1:.0f}")
            case ChatError(code=ErrorCode.BAD_ARGUMENTS):
                return error.message.partition(" Usage: ")[0]
            case ChatError():
                name = f"error_{error.code}"
                return self(name) if name in TEXTS else error.message
            case NoAnswer():
                return self("not_sent" if isinstance(error, NotSent) else "no_answer")
            case NoRoom():
                return self("no_room")
            case TooManyFiles():
                return self("too_many_links")
            case TimeoutError():
                return self("no_answer")
            case OSError():
                return str(error)
            case _:
                return self("unexpected", what=type(error).__name__)
