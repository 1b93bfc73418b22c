"""Rules of the handshake and the seal: valid signatures pass, all others are rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ws_server.federation.handshake.transcript import (
    Hello,
    NotProven,
    OtherKey,
    Role,
    Seal,
    Transcript,
    check_key,
)

ALICE, BOB, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


TRANSCRIPT = Transcript(
    Hello("alpha", public(ALICE), b"a" * 32),
    Hello("beta", public(BOB), b"b" * 32),
    public(BOB),
    8765,
    False,
)


def test_each_side_proves_its_key() -> None:
    TRANSCRIPT.check(TRANSCRIPT.sign(ALICE, Role.DIALLER), Role.DIALLER)
    TRANSCRIPT.check(TRANSCRIPT.sign(BOB, Role.LISTENER), Role.LISTENER)


@pytest.mark.parametrize(
    "altered",
    [
        replace(TRANSCRIPT, dialler=replace(TRANSCRIPT.dialler, realm="gamma")),
        replace(TRANSCRIPT, dialler=replace(TRANSCRIPT.dialler, key=public(EVE))),
        replace(TRANSCRIPT, dialler=replace(TRANSCRIPT.dialler, nonce=b"x" * 32)),
        replace(TRANSCRIPT, listener=replace(TRANSCRIPT.listener, realm="gamma")),
        replace(TRANSCRIPT, listener=replace(TRANSCRIPT.listener, nonce=b"x" * 32)),
        replace(TRANSCRIPT, expected=None),
        replace(TRANSCRIPT, port=8766),
        replace(TRANSCRIPT, tls=True),
    ],
)
def test_whatever_is_altered_on_the_way_spoils_both_signatures(altered: Transcript) -> None:
    for key, role in ((ALICE, Role.DIALLER), (BOB, Role.LISTENER)):
        with pytest.raises(NotProven):
            altered.check(TRANSCRIPT.sign(key, role), role)


def test_a_signature_is_not_reflected() -> None:
    """A signature of one role is invalid for the other, even if both names are equal."""
    with pytest.raises(NotProven):
        TRANSCRIPT.check(TRANSCRIPT.sign(BOB, Role.DIALLER), Role.LISTENER)
    mirrored = replace(TRANSCRIPT, dialler=TRANSCRIPT.listener, listener=TRANSCRIPT.listener)
    with pytest.raises(NotProven):
        mirrored.check(mirrored.sign(BOB, Role.LISTENER), Role.LISTENER)


def test_fields_do_not_run_into_each_other() -> None:
    one = replace(TRANSCRIPT, dialler=Hello("ab", b"c" * 32, b"d" * 32))
    other = replace(TRANSCRIPT, dialler=Hello("a", b"b" + b"c" * 31, b"cd" + b"d" * 30))
    assert one.digest() != other.digest()


def test_another_key_is_told_only_once_it_is_proven() -> None:
    other = replace(TRANSCRIPT, listener=replace(TRANSCRIPT.listener, key=public(EVE)))
    with pytest.raises(OtherKey) as found:
        other.check(other.sign(EVE, Role.LISTENER), Role.LISTENER)
    assert found.value.key == public(EVE)
    with pytest.raises(NotProven) as unproven:
        other.check(other.sign(ALICE, Role.LISTENER), Role.LISTENER)
    assert not isinstance(unproven.value, OtherKey)


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def doubled(x: int, y: int) -> tuple[int, int]:
    """Return twice a point of the curve (RFC 8032, section 5.1.4)."""
    k = D * x * x * y * y
    return (
        2 * x * y * pow(1 + k, -1, P) % P,
        (y * y + x * x) * pow(1 - k, -1, P) % P,
    )


def root(y: int) -> int | None:
    """Return an x of the point with this y; None if y is not on the curve."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    for x in (r := pow(square, (P + 3) // 8, P), r * pow(2, (P - 1) // 4, P) % P):
        if x * x % P == square:
            return int(x)
    return None


def small_order() -> set[int]:
    """Return the y of all points whose order divides 8, found by halving the neutral one."""
    found = {1, P - 1, 0}
    # Of a point of order 8, twice the point has y = 0: x * x = -y * y on this curve.
    i = pow(2, (P - 1) // 4, P)
    for sign in (1, -1):
        # x = i * y in -x^2 + y^2 = 1 + d x^2 y^2 gives d z^2 + 2 z - 1 = 0 for z = y^2.
        r = pow(1 + D, (P + 3) // 8, P)
        if r * r % P != (1 + D) % P:
            r = r * i % P
        z = (-1 + sign * r) * pow(D, -1, P) % P
        y = pow(z, (P + 3) // 8, P)
        if y * y % P != z:
            y = y * i % P
        if y * y % P == z:
            found |= {y, P - y}
    return found


def test_no_point_of_small_order_is_a_key() -> None:
    ys = small_order()
    assert len(ys) == 5
    for y in ys:
        x = root(y)
        assert x is not None
        point = (x, y)
        for _ in range(3):
            point = doubled(*point)
        assert point == (0, 1)
        for sign in (0, 1):
            with pytest.raises(NotProven):
                check_key((y | sign << 255).to_bytes(32, "little"))


@pytest.mark.parametrize("y", [P, P + 1, 2**255 - 1])
def test_a_key_has_one_form(y: int) -> None:
    with pytest.raises(NotProven):
        check_key(y.to_bytes(32, "little"))


@given(st.binary(max_size=40), st.binary(min_size=64, max_size=64))
def test_no_bytes_are_a_key_that_signed_what_nobody_signed(key: bytes, signature: bytes) -> None:
    claimed = replace(TRANSCRIPT, dialler=replace(TRANSCRIPT.dialler, key=key))
    with pytest.raises(NotProven):
        claimed.check(signature, Role.DIALLER)


def seals(transcript: Transcript = TRANSCRIPT) -> tuple[Seal, Seal]:
    return Seal(transcript, ALICE, Role.DIALLER), Seal(transcript, BOB, Role.LISTENER)


def test_frames_pass_in_their_order_both_ways() -> None:
    alice, bob = seals()
    for n in range(3):
        assert bob.open(alice.close(b"from alice %d" % n)) == b"from alice %d" % n
        assert alice.open(bob.close(b"from bob %d" % n)) == b"from bob %d" % n


def test_a_signature_has_one_spelling() -> None:
    """Four bits of its last character are unused; a signature with altered bits once passed."""
    alice, bob = seals()
    frame = bytearray(alice.close(b"{}"))
    frame[85] ^= 8
    with pytest.raises(NotProven):
        bob.open(bytes(frame))


@given(st.data())
def test_an_altered_frame_does_not_pass(data: st.DataObject) -> None:
    alice, bob = seals()
    frame = bytearray(alice.close(b'{"kind":"ack"}'))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NotProven):
        bob.open(bytes(frame))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_frames_dropped_doubled_or_reordered_do_not_pass(order: list[int]) -> None:
    alice, bob = seals()
    frames = [alice.close(b"%d" % n) for n in range(5)]
    for place, number in enumerate(order):
        if number == place:
            assert bob.open(frames[number]) == b"%d" % number
        else:
            with pytest.raises(NotProven):
                bob.open(frames[number])
            return


def test_a_frame_of_another_link_or_of_the_other_side_does_not_pass() -> None:
    alice, bob = seals()
    again, _ = seals(replace(TRANSCRIPT, listener=replace(TRANSCRIPT.listener, nonce=b"x" * 32)))
    for frame in (again.close(b"x"), bob.close(b"x"), b"", b"=" * 88, "é".encode() * 60):
        with pytest.raises(NotProven):
            bob.open(frame)
    with pytest.raises(NotProven):
        alice.open(alice.close(b"x"))
