"""Memory that one batch of messages frees serves the next one."""

from __future__ import annotations

import subprocess
import sys

BATCHES = """
import resource
from ws_server.allocator import keep_freed_memory
{tune}
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def batch():
    return [bytes(4000) for _ in range(1000)]
batch()
before = faults()
for _ in range(20):
    batch()
print(faults() - before)
"""


def faults(tune: str) -> int:
    """Return the page faults of 20 batches of 4 MB in a process of its own."""
    run = [sys.executable, "-c", BATCHES.format(tune=tune)]
    return int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


def test_each_batch_of_messages_faulted_its_memory_in_again() -> None:
    assert faults("keep_freed_memory()") < 200
    assert faults("") > 10_000, "the C library keeps it by itself: allocator.py is not needed here"
