"""`admin doctor`: checks a realm without changing anything."""

from __future__ import annotations

import asyncio

from ws_server import data_folder
from ws_server.admin import checks, data_checks, disk
from ws_server.admin.checks import LEVELS, Case, Check, Finding
from ws_server.admin.commands import AdminRefused, Argument, Given, Say, beside
from ws_server.settings import Settings

CHECKS: dict[str, Check] = {
    "server": checks.server,
    "port": checks.port,
    "settings": checks.settings,
    "database": checks.database,
    "disk": disk.disk,
    "clock": checks.clock,
    "permissions": data_checks.permissions,
    "key": data_checks.key,
    "backup": data_checks.backup,
    "blobs": data_checks.blobs,
    "realms": checks.realms,
}
"""Every check by its name, in order; the first one gets data from the server that others need."""
LIMIT = 15.0
"""Seconds for one check; each has a shorter limit of its own."""


@beside(
    "doctor",
    Argument("--deep", "also read the content of every file; takes as long as needed", flag=True),
)
async def doctor(settings: Settings, given: Given, say: Say) -> None:
    """Check a realm and name a remedy for each fault; changes nothing."""
    data_folder.expect_realm(settings.data)
    case = Case(settings, data_folder.database_url(settings), deep="deep" in given)
    failed = 0
    for name, check in CHECKS.items():
        findings = await run(check, case)
        worst = max(findings, key=lambda finding: LEVELS.index(finding.level)).level
        failed += worst == "fail"
        told = "; ".join(
            f"{finding.text}. {finding.hint}" if finding.hint else finding.text
            for finding in findings
        )
        say(f"{worst:<4} {name}: {told}")
    if failed:
        raise AdminRefused(f"{failed} of {len(CHECKS)} checks failed")


async def run(check: Check, case: Case) -> list[Finding]:
    """Run a check; one that exceeds the time limit has failed."""
    try:
        async with asyncio.timeout(None if case.deep else LIMIT):
            return await check(case)
    except TimeoutError:
        return [
            Finding("fail", f"took longer than {LIMIT:.0f} s", "Check whether the disk responds")
        ]
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return [
            Finding("fail", f"{where}{error.strerror}", "Run this as the account of the server")
        ]
