"""What operators do: `python -m ws_server admin COMMAND ...`; one module a feature."""

from ws_server.admin import realms as realms
from ws_server.admin import users as users
