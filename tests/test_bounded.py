"""A dict with a bound keeps its newest entries."""

from __future__ import annotations

from shared.bounded import BoundedDict


def test_the_oldest_entry_of_too_many_is_forgotten_and_announced() -> None:
    forgotten: list[tuple[str, int]] = []
    kept: BoundedDict[str, int] = BoundedDict(2, lambda key, value: forgotten.append((key, value)))
    for number, key in enumerate("abc"):
        kept[key] = number
    assert list(kept.items()) == [("b", 1), ("c", 2)]
    assert forgotten == [("a", 0)]


def test_a_key_that_is_set_again_is_the_newest() -> None:
    kept: BoundedDict[str, int] = BoundedDict(2)
    kept["a"], kept["b"], kept["a"], kept["c"] = 1, 2, 3, 4
    assert list(kept.items()) == [("a", 3), ("c", 4)]


def test_what_is_removed_makes_room_and_is_not_announced() -> None:
    forgotten: list[str] = []
    kept: BoundedDict[str, int] = BoundedDict(2, lambda key, _: forgotten.append(key))
    kept["a"], kept["b"] = 1, 2
    assert kept.pop("a") == 1
    kept.update(c=3)
    assert list(kept) == ["b", "c"] and not forgotten
    kept.update(d=4, e=5)
    assert list(kept) == ["d", "e"] and forgotten == ["b", "c"]
