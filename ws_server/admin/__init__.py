"""The operator's commands, `python -m ws_server admin COMMAND ...`; one module for each feature."""

from ws_server.admin import backup as backup
from ws_server.admin import doctor as doctor
from ws_server.admin import export as export
from ws_server.admin import import_json as import_json
from ws_server.admin import realms as realms
from ws_server.admin import registration as registration
from ws_server.admin import restore as restore
from ws_server.admin import status as status
from ws_server.admin import users as users
