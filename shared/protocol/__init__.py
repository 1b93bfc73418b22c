"""The wire contract as Python objects: pure, without sockets, files or an event loop.

Importing this package fills the command table (`spec.TABLE`).
"""

from shared.protocol import commands as commands
