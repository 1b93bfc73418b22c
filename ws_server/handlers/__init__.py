"""The handlers of all commands, one module for each feature, named as in the command table."""

from ws_server.handlers import accounts as accounts
from ws_server.handlers import blocks as blocks
from ws_server.handlers import files as files
from ws_server.handlers import groups as groups
from ws_server.handlers import history as history
from ws_server.handlers import links as links
from ws_server.handlers import meta as meta
from ws_server.handlers import private as private
from ws_server.handlers import realms as realms
