"""The client library: `ChatClient`, its errors and its events. See docs/bots.md."""

from shared.client.backoff import Backoff as Backoff
from shared.client.client import ChatClient as ChatClient
from shared.client.errors import NoAnswer as NoAnswer
from shared.client.errors import NotSent as NotSent
from shared.client.errors import OutcomeUnknown as OutcomeUnknown
from shared.client.notices import HistoryChanged as HistoryChanged
from shared.client.notices import Offline as Offline
from shared.client.notices import Online as Online
from shared.client.notices import SignedOut as SignedOut
from shared.protocol.commands.files import FileChunk as FileChunk
from shared.protocol.commands.groups import GroupChanged as GroupChanged
from shared.protocol.commands.messages import Delivery as Delivery
from shared.protocol.commands.messages import MessageArrived as MessageArrived
from shared.protocol.commands.messages import Receipt as Receipt
from shared.protocol.commands.realms import RealmLink as RealmLink
from shared.protocol.errors import ChatError as ChatError
from shared.protocol.errors import ErrorCode as ErrorCode
from shared.protocol.values import Address as Address
from shared.protocol.values import GroupAddress as GroupAddress
