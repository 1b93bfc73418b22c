"""Processes under measurement: start, pinning, end, and their figures in /proc."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
END_LIMIT = 30.0
"""Seconds for a server to end before it is killed."""
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Cores:
    """The cores of server and generator; None if there are too few for one each."""

    server: int | None
    generator: int | None

    @classmethod
    def found(cls) -> Cores:
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(first, others[0]) if others else cls(None, None)

    @property
    def apart(self) -> bool:
        return self.server is not None

    def pin_generator(self) -> None:
        if self.generator is not None:
            os.sched_setaffinity(0, {self.generator})


class Child:
    """A foreground child in its own session, which ends with this process at the latest."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        core: int | None,
        environment: Mapping[str, str],
    ) -> None:
        self.output = folder / f"output-{len(list(folder.glob('output-*')))}.log"

        def prepare() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if core is not None:
                os.sched_setaffinity(0, {core})

        # The settings of this process's environment must not reach the server under measurement.
        kept = {name: value for name, value in os.environ.items() if name[:5] != "CHAT_"}
        with open(self.output, "ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**kept, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=prepare,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        """The last line that it printed."""
        return self.output.read_text(errors="replace").strip().rpartition("\n")[2]

    def end(self) -> None:
        """Terminate it, kill it after END_LIMIT, and kill the processes that it left behind."""
        family = tree([self.pid])
        self._process.terminate()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in family:
            if session(pid) == self.pid:
                os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third (state) on; see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def session(pid: int) -> int | None:
    try:
        return int(_stat(pid)[3])
    except OSError:
        return None


def tree(roots: Iterable[int]) -> list[int]:
    """Return the processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
            except OSError:
                continue  # it has just ended
    found = list(roots)
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return the CPU time used by the process trees so far, in seconds."""
    ticks = 0
    for pid in tree(roots):
        try:
            user, system = _stat(pid)[11:13]
        except OSError:
            continue
        ticks += int(user) + int(system)
    return ticks / TICKS


def machine_seconds() -> float:
    """Return the CPU time of the whole machine in seconds, including time stolen by the host."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _wait, _irq, _softirq, steal = map(int, fields)
    return (user + nice + system + steal) / TICKS


def resident_bytes(roots: Iterable[int]) -> int:
    """Return the resident memory of the process trees in bytes."""
    pages = 0
    for pid in tree(roots):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * PAGE


class Meter:
    """Measures CPU from its creation to `read`: of a server, of this process, of others."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = roots
        self._begin = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        return (
            time.perf_counter(),
            cpu_seconds(self._roots),
            time.process_time(),
            machine_seconds(),
        )

    def read(self) -> dict[str, float]:
        """Return the seconds, and the CPU use of each in percent of one core."""
        seconds, server, generator, machine = (
            now - then for now, then in zip(self._now(), self._begin, strict=True)
        )
        others = max(0.0, machine - server - generator)
        return {
            "seconds": round(seconds, 3),
            "server_cpu": round(100 * server / seconds),
            "generator_cpu": round(100 * generator / seconds),
            "others_cpu": round(100 * others / seconds),
        }
