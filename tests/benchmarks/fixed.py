"""Results whose tables and picture can be told beforehand."""

from __future__ import annotations

from typing import Any

from benchmarks.results import About, Results, Run, Setting

SERVERS = {
    "relay": About(stores="nothing", synced=False, version="1"),
    "simple-chatting": About(stores="each message once", synced=True, version="2"),
    "ejabberd": About(stores="nothing", synced=False, version="3"),
    "ejabberd-postgresql": About(stores="each message twice", synced=True, version="4"),
}


def run(round: int, server: str, rate: float, **changes: Any) -> Run:
    """One run of the private workload with 8 in flight."""
    figures = {
        "rate": rate,
        "p50_ms": 1.5,
        "p99_ms": 3.25,
        "sent": 1000,
        "server_cpu": 99,
        "generator_cpu": 60,
        "others_cpu": 3,
        **changes.pop("figures", {}),
    }
    place = {"workload": "private", "size": 8, **changes}
    return Run(round=round, server=server, figures=figures, **place)


def results(*runs: Run) -> Results:
    setting = Setting(servers=SERVERS, apart=True, rounds=3, seconds=5.0, sync_ms=0.15)
    return Results(setting, list(runs))
