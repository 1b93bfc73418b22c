"""Times in words."""

from __future__ import annotations

from datetime import date, datetime, tzinfo

from flet_app.language import Texts

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
}
_DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "id": "Senin Selasa Rabu Kamis Jumat Sabtu Minggu",
}


def moment(milliseconds: int, zone: tzinfo) -> datetime:
    """Return a Unix time as a moment of a time zone; a time outside the calendar becomes its
    beginning."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, zone)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, zone)


def clock(at: datetime) -> str:
    """Return the time of day."""
    return f"{at:%H:%M}"


def day(at: date, today: date, texts: Texts) -> str:
    """Return the heading of a day in a conversation."""
    ago = (today - at).days
    if ago == 0:
        return texts("today")
    if ago == 1:
        return texts("yesterday")
    language = texts.language
    named = f"{at.day} {_MONTHS[language].split()[at.month - 1]}"
    if 1 < ago < 7:
        return f"{_DAYS[language].split()[at.weekday()]}, {named}"
    return named if at.year == today.year else f"{named} {at.year}"


def short(at: datetime, today: date, texts: Texts) -> str:
    """Return the time of a conversation's last message: the time of day if today, else the day."""
    ago = (today - at.date()).days
    if ago == 0:
        return clock(at)
    if ago == 1:
        return texts("yesterday")
    if 1 < ago < 7:
        return _DAYS[texts.language].split()[at.weekday()]
    return f"{at:%d.%m.%y}"
