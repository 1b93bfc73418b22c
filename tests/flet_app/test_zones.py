"""Zones of browsers on systems that know few of them."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flet_app.zones import zone_of

SUMMER, WINTER = datetime(2026, 7, 1, 12), datetime(2026, 1, 1, 12)


@pytest.fixture(params=["none", "new names only"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """A system without a database of zones, as Windows, or with one that has no old names."""
    if request.param == "new names only":
        (tmp_path / "Asia").mkdir()
        whole = Path("/usr/share/zoneinfo/Asia/Kolkata")
        if not whole.exists():
            pytest.skip("this system has no zones")
        (tmp_path / "Asia" / "Kolkata").write_bytes(whole.read_bytes())
    zoneinfo.reset_tzpath([str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.parametrize(
    "name, winter, summer",
    [
        ("Asia/Calcutta", 5.5, 5.5),
        ("Asia/Kolkata", 5.5, 5.5),
        ("Asia/Saigon", 7, 7),
        ("Europe/Kiev", 2, 3),
        ("Europe/Kyiv", 2, 3),
        ("America/Buenos_Aires", -3, -3),
        ("US/Pacific", -8, -7),
        ("America/Argentina/Ushuaia", -3, -3),
        ("Etc/GMT+5", -5, -5),
        ("GMT", 0, 0),
        ("UTC", 0, 0),
        ("EST5EDT", -5, -4),
        ("+05:30", 5.5, 5.5),
        ("-0330", -3.5, -3.5),
    ],
)
def test_old_names_of_zones_were_the_servers_own_time(
    system: None, name: str, winter: float, summer: float
) -> None:
    zone = zone_of(name, "600")
    assert zone is not None
    assert zone.utcoffset(WINTER) == timedelta(hours=winter)
    assert zone.utcoffset(SUMMER) == timedelta(hours=summer)


HOSTILE = [
    *("", "undefined", "Etc/Unknown", "Mars/Olympus", "../../etc/passwd", "/etc/localtime"),
    *("Asia", "Asia/", "a" * 5000, "Asia/\0", "Asia/../Asia/Tokyo", "right/Asia/Tokyo"),
    *("posixrules", "localtime", "tzdata", "zone.tab", "leapseconds", "__init__", "C:\\x", "NUL"),
    *("+24:00", "+5", "+05:60", "\u0665", "Asia/T\u014dky\u014d", "-", "--", "a/b/c/d"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_zone_is_the_offset_of_the_browser_or_nothing(system: None, name: str) -> None:
    assert zone_of(name) is None
    found = zone_of(name, "-210")
    assert found is not None and found.utcoffset(None) == timedelta(minutes=-210)


@pytest.mark.parametrize(
    "minutes", ["", "NaN", "1440", "-1440", "99999", "+60", "6e1", "\u0666", "-"]
)
def test_an_offset_that_is_none_is_nothing(minutes: str) -> None:
    assert zone_of("Mars/Olympus", minutes) is None
