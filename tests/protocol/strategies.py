"""What hypothesis may put into requests, replies and events: derived from the declarations."""

from __future__ import annotations

import functools
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from shared.protocol import kinds
from shared.protocol.file_names import clean_file_name
from shared.protocol.records import Record
from shared.protocol.spec import Arg, Request, Spec
from shared.protocol.values import MAX_NUMBER, Address, BadValue, GroupAddress
from shared.protocol.words import BLANK

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True)
REALM_NAMES = NAMES | st.from_regex(
    r"[A-Za-z0-9._-]{1,23}~[A-Za-z0-9]{4}(-[0-9]{1,3})?", fullmatch=True
)
REALMS = st.just("") | REALM_NAMES
PEOPLE = st.builds(Address, NAMES, REALMS)
GROUPS = st.builds(GroupAddress, st.integers(1, 10**15 - 1), REALMS)
CONVERSATIONS = PEOPLE | GROUPS
ANYTHING_WRITTEN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ONE_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1)
NASTY = st.text(
    st.sampled_from("\n\r\t\x1b\x07\x85\x9b\u2028\u2029\u202e\u2066 []|>OKab"), min_size=1
)
"""What somebody writes who wants to forge a line or to steer a terminal."""


def _cleaned(name: str) -> str:
    try:
        return clean_file_name(name[:60])
    except BadValue:
        return "photo.png"


def _accepted(kind: kinds.Kind) -> Any:
    def accepts(value: Any) -> bool:
        try:
            kind.from_json(value)
        except BadValue:
            return False
        return True

    return accepts


def values_of(kind: kinds.Kind) -> SearchStrategy[Any]:
    """Return values that an argument of this kind may have."""
    match kind:
        case kinds.Text():
            base = ONE_LINE if kind.one_line else ANYTHING_WRITTEN
            padded = base.map(lambda text: text.ljust(kind.least, "x"))
            extremes = st.sampled_from(["x" * kind.least, "x" * kind.most])
            return (padded | extremes).filter(_accepted(kind)).map(kind.from_json)
        case kinds.Number():
            return st.integers(kind.least, kind.most)
        case kinds.UserKind():
            return PEOPLE
        case kinds.LocalName():
            return NAMES
        case kinds.RealmName():
            return REALM_NAMES
        case kinds.GroupKind():
            return GROUPS
        case kinds.ConversationKind():
            return CONVERSATIONS
        case kinds.FileName():
            return ANYTHING_WRITTEN.map(_cleaned)
        case kinds.Base64(size=None):
            return st.binary(min_size=1, max_size=100)
        case kinds.Base64(size=size):
            return st.binary(min_size=size, max_size=size)
        case kinds.Pattern():
            return st.from_regex(kind.form, fullmatch=True)
        case kinds.Flag():
            return st.booleans()
        case kinds.PositionsKind():
            return st.dictionaries(CONVERSATIONS, st.integers(0, MAX_NUMBER), max_size=4)
    raise AssertionError(f"say here what a {type(kind).__name__} may be")


def can_be_typed(a: Arg, value: Any) -> bool:
    """Tell whether the text dialect can carry this value of an argument: quotes carry all."""
    return a.quotable or not a.rest or str(a.kind.to_json(value))[:1] not in ("", *BLANK)


def requests(spec: Spec, *, typed: bool = False) -> SearchStrategy[Request[Any]]:
    """Return requests of one command.

    Args:
        typed: Only those that the text dialect can carry.
    """
    fields: dict[str, SearchStrategy[Any]] = {}
    optional: dict[str, SearchStrategy[Any]] = {}
    for a in spec.args:
        if typed and a.json_only:
            continue
        values = values_of(a.kind)
        if typed:
            values = values.filter(functools.partial(can_be_typed, a))
        (fields if a.required else optional)[a.name] = values
    given = st.fixed_dictionaries(fields, optional=optional)
    return given.map(lambda values: spec.request(**values)).filter(lambda r: r.wrong() is None)


WRITTEN_BY_PEOPLE = {"text", "name", "group_name", "real_name", "country"}
"""Fields of records that hold what somebody chose freely."""
_IN_A_FIELD = {
    str: ANYTHING_WRITTEN,
    int: st.integers(0, MAX_NUMBER),
    bool: st.booleans(),
}
_WORD = st.from_regex(r"[A-Za-z0-9#@._-]{1,12}", fullmatch=True)


def records(kind: type[Record], *, nasty: bool = False) -> SearchStrategy[Any]:
    """Return records of one declaration.

    Args:
        nasty: People wrote nasty things where they could, and the server plain words elsewhere;
            otherwise any text may be anywhere, and what is not sent has its default.
    """
    hints = get_type_hints(kind)
    fields = {w.name: _field(hints[w.name], w.name, nasty) for w in kind.wires}
    if nasty and "group_name" in hints:
        fields["group_name"] = st.none() | NASTY
    return st.builds(kind, **fields)


def _field(hint: Any, name: str, nasty: bool) -> SearchStrategy[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (a for a in get_args(hint) if a is not type(None))
        return st.none() | _field(inner, name, nasty)
    if get_origin(hint) is list:
        return st.lists(_field(get_args(hint)[0], name, nasty), max_size=3)
    if get_origin(hint) is dict:
        return st.dictionaries(_WORD, _IN_A_FIELD[int], max_size=3)
    if issubclass(hint, Record):
        return records(hint, nasty=nasty)
    if nasty and hint is str:
        return NASTY if name in WRITTEN_BY_PEOPLE else _WORD
    if nasty and hint is int:
        return st.integers(0, 4_000_000_000_000)  # times are shown as dates
    return _IN_A_FIELD[hint]
