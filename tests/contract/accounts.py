"""The contract of accounts and sessions."""

from __future__ import annotations

from shared.protocol.commands.accounts import (
    Auth,
    Code,
    Invitation,
    Logout,
    Passwd,
    Register,
    Resume,
    Whoami,
)
from shared.protocol.spec import Access
from tests.contract.row import Row

SIGNED_IN = "user realm token unread epoch protocol limits"

ROWS = [
    Row(
        usage="code [code]",
        access=Access.ANYONE,
        fields="wanted accepted",
        spellings=[
            (Code(), ["code", '{"command":"code"}']),
            (
                Code("ABCD-EFGH"),
                ["code ABCD-EFGH", 'code "ABCD-EFGH"', '{"command":"code","code":"ABCD-EFGH"}'],
            ),
        ],
    ),
    Row(
        usage="invitation [code]",
        access=Access.ANYONE,
        fields="registration accepted",
        spellings=[
            (Invitation(), ["invitation", '{"command":"invitation"}']),
            (
                Invitation("K3F9-7QWX"),
                ["invitation K3F9-7QWX", '{"command":"invitation","code":"K3F9-7QWX"}'],
            ),
        ],
    ),
    Row(
        usage="register <user> <real_name> <password> <country...>",
        access=Access.ANYONE,
        fields="user",
        arguments={"user": "dave", "real_name": "Dave", "password": "secret1", "country": "Peru"},
        spellings=[
            (
                Register("bob", "Bob", "secret1", "Costa Rica"),
                [
                    "register bob Bob secret1 Costa Rica",
                    '{"command":"register","user":"bob","real_name":"Bob","password":"secret1",'
                    '"country":"Costa Rica"}',
                ],
            ),
        ],
    ),
    Row(
        usage="auth <user> <password>",
        access=Access.ANYONE,
        fields=SIGNED_IN,
        arguments={"user": "bob", "password": "secret1"},
        spellings=[
            (
                Auth("bob", "secret1"),
                ["auth bob secret1", '{"command":"auth","user":"bob","password":"secret1"}'],
            ),
        ],
    ),
    Row(
        usage="resume <token>",
        access=Access.ANYONE,
        fields=SIGNED_IN,
        arguments={"token": "nonsense"},
        spellings=[(Resume("abc"), ["resume abc", '{"command":"resume","token":"abc"}'])],
    ),
    Row(
        usage="logout",
        spellings=[(Logout(), ["logout", '{"command":"logout"}'])],
    ),
    Row(
        usage="passwd <old_password> <new_password>",
        arguments={"old_password": "secret1", "new_password": "secret2"},
        spellings=[
            (
                Passwd("secret1", "secret2"),
                [
                    "passwd secret1 secret2",
                    '{"command":"passwd","old_password":"secret1","new_password":"secret2"}',
                ],
            ),
        ],
    ),
    Row(
        usage="whoami",
        fields="user realm real_name country admin",
        spellings=[(Whoami(), ["whoami", "WhoAmI", '{"command":"whoami"}'])],
    ),
]
