"""The events of the contract."""

from __future__ import annotations

from tests.contract.row import Fields

EVENTS = {
    "message": Fields(fields="id conversation seq from time text", optional="file state bot"),
    "file": Fields(fields="file offset data last"),
    "receipt": Fields(fields="conversation user received_seq read_seq"),
    "delivery": Fields(fields="conversation message_id seq state", optional="code"),
    "group": Fields(fields="group name user change", optional="history"),
    "realm": Fields(fields="realm link", optional="was"),
    "preference": Fields(fields="conversation blocked"),
}
