"""Time zones as browsers name them."""

from __future__ import annotations

import re
import zoneinfo
from datetime import timedelta, timezone, tzinfo

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)")
"""A zone without a name (ECMA-262, "Time Zone Offset String Format")."""
_NOT_MEANT = ("right/", "posix/", "posixrules", "localtime", "Factory")
"""What lies beside the zones of a system: with leap seconds, or the machine's own."""


def zone_of(name: str, minutes: str = "") -> tzinfo | None:
    """Return the zone with a name, old names included; None if nothing is known of it.

    Zones that the system does not have are those of the package `tzdata`. Browsers may know newer
    ones, or none at all; then it is the offset they have now.

    Args:
        name: Of the tz database, or an offset such as `+05:30`.
        minutes: By which the clocks there are ahead of UTC; anything, as a browser says it.
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
