"""One module for each feature; importing them fills the command table."""

from shared.protocol.commands import accounts as accounts
from shared.protocol.commands import blocks as blocks
from shared.protocol.commands import files as files
from shared.protocol.commands import groups as groups
from shared.protocol.commands import history as history
from shared.protocol.commands import links as links
from shared.protocol.commands import messages as messages
from shared.protocol.commands import meta as meta
from shared.protocol.commands import private as private
from shared.protocol.commands import realms as realms
