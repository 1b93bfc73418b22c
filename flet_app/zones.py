"""Time zones as browsers name them."""

from __future__ import annotations

import re
import zoneinfo
from datetime import timedelta, timezone, tzinfo

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)")
"""A zone without a name (ECMA-262, "Time Zone Offset String Format")."""
_NOT_MEANT = ("right/", "posix/", "posixrules", "localtime", "Factory")
"""Directories among the system's zones that are no zones: with leap seconds, or the machine's
own."""


def zone_of(name: str, minutes: str = "") -> tzinfo | None:
    """Return the zone with a name, including old names; None for an unknown one.

    Zones missing on the system come from the package `tzdata`. A browser may report a newer zone,
    or none at all; then its present offset is used.

    Args:
        name: A name of the tz database, or an offset such as `+05:30`.
        minutes: The browser's offset from UTC in minutes; not validated, may be anything.
    """
    if found := _OFFSET.fullmatch(name):
        sign, hours, rest = found.groups()
        return timezone(timedelta(minutes=int(f"{sign}{int(hours) * 60 + int(rest)}")))
    if _NAME.fullmatch(name) and not name.startswith(_NOT_MEANT):
        try:
            return zoneinfo.ZoneInfo(name)
        except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
            pass
    if re.fullmatch(r"-?\d{1,4}", minutes, re.ASCII) and abs(int(minutes)) < 24 * 60:
        return timezone(timedelta(minutes=int(minutes)))
    return None
