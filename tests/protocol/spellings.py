"""The same request in every spelling, for tests of either dialect."""

from __future__ import annotations

from typing import Any

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
from shared.protocol.commands.blocks import Block, ListBlocked, Unblock
from shared.protocol.commands.files import (
    Chunk,
    Files,
    GetFile,
    SendFile,
    SendGroupFile,
    Upload,
)
from shared.protocol.commands.groups import (
    Accept,
    Ban,
    ChooseGroupHistory,
    CreateGroup,
    Decline,
    InboxGroup,
    InviteGroup,
    Kick,
    LeaveGroup,
    ListGroup,
    Members,
    SendGroup,
    Unban,
)
from shared.protocol.commands.history import History, Read, Received
from shared.protocol.commands.links import OpenLink, ProveLink
from shared.protocol.commands.meta import Help, Ping, SetFormat
from shared.protocol.commands.private import Inbox, ListPc, Send
from shared.protocol.commands.realms import AddRealm, ListRealm, ShowOutbox
from shared.protocol.spec import Request
from shared.protocol.values import Address, GroupAddress

BOB, BOB_THERE = Address("bob"), Address("bob", "beta")
TEAM, TEAM_THERE = GroupAddress(12), GroupAddress(12, "beta")
SHA256 = "ab" * 32

SPELLINGS: list[tuple[Request[Any], list[str]]] = [
    (
        Register("bob", "Bob", "secret1", "Costa Rica"),
        [
            "register bob Bob secret1 Costa Rica",
            '{"command":"register","user":"bob","real_name":"Bob","password":"secret1",'
            '"country":"Costa Rica"}',
        ],
    ),
    (Code(), ["code", '{"command":"code"}']),
    (
        Code("ABCD-EFGH"),
        ["code ABCD-EFGH", 'code "ABCD-EFGH"', '{"command":"code","code":"ABCD-EFGH"}'],
    ),
    (Invitation(), ["invitation", '{"command":"invitation"}']),
    (
        Invitation("K3F9-7QWX"),
        ["invitation K3F9-7QWX", '{"command":"invitation","code":"K3F9-7QWX"}'],
    ),
    (
        Auth("bob", "secret1"),
        ["auth bob secret1", '{"command":"auth","user":"bob","password":"secret1"}'],
    ),
    (Resume("abc"), ["resume abc", '{"command":"resume","token":"abc"}']),
    (Logout(), ["logout", '{"command":"logout"}']),
    (
        Passwd("secret1", "secret2"),
        [
            "passwd secret1 secret2",
            '{"command":"passwd","old_password":"secret1","new_password":"secret2"}',
        ],
    ),
    (Whoami(), ["whoami", "WhoAmI", '{"command":"whoami"}']),
    (ListPc(), ["listpc", '{"command":"listpc"}']),
    (
        ListPc("beta"),
        [
            "listpcrealm beta",
            "listpc beta",
            "listpc realm=beta",
            '{"command":"listpcrealm","realm":"beta"}',
            '{"command":"listpc","realm":"beta"}',
        ],
    ),
    (
        ListPc("beta", BOB_THERE),
        [
            "listpcrealm beta bob",
            "listpcrealm beta after=bob",
            "listpc after=bob@beta realm=beta",
            '{"command":"listpcrealm","realm":"beta","after":"bob"}',
            '{"command":"listpc","realm":"beta","after":"bob@beta"}',
        ],
    ),
    (ListPc(after=BOB), ["listpc after=bob", '{"command":"listpc","after":"bob"}']),
    (
        Send(BOB, "hi there"),
        ["send bob hi there", '{"command":"send","to":"bob","text":"hi there"}'],
    ),
    (
        Send(BOB_THERE, "hi"),
        [
            "send bob@beta hi",
            "sendpcrealm beta bob hi",
            "SendPCRealm beta bob@beta hi",
            '{"command":"send","to":"bob@beta","text":"hi"}',
            '{"command":"sendpcrealm","realm":"beta","to":"bob","text":"hi"}',
        ],
    ),
    (
        Send(Address("bob", "gamma"), "hi"),
        [
            "send bob@gamma hi",
            "sendpcrealm beta bob@gamma hi",
            '{"command":"sendpcrealm","realm":"beta","to":"bob@gamma","text":"hi"}',
        ],
    ),
    (
        SendFile(BOB_THERE, "a.png", b"hi"),
        [
            "sendfile bob@beta a.png aGk=",
            "sendfile bob@beta /home/me/a.png aGk=",
            "sendfilerealm beta bob a.png aGk=",
            '{"command":"sendfile","to":"bob@beta","name":"a.png","data":"aGk="}',
            '{"command":"sendfilerealm","realm":"beta","to":"bob","name":"a.png","data":"aGk="}',
        ],
    ),
    (
        Inbox(BOB_THERE, before=120, limit=20),
        [
            "inbox bob@beta 120 20",
            "inbox bob@beta before=120 limit=20",
            "inbox bob@beta limit=20 before=120",
            "inboxrealm beta bob 120 20",
            "inboxrealm beta bob limit=20 before=120",
            '{"command":"inbox","user":"bob@beta","before":120,"limit":20}',
            '{"command":"inboxrealm","realm":"beta","user":"bob","before":120,"limit":20}',
        ],
    ),
    (
        Inbox(BOB, limit=50),
        ["inbox bob", "inbox bob limit=50", '{"command":"inbox","user":"bob","before":null}'],
    ),
    (
        CreateGroup("the team"),
        ["creategroup the team", '{"command":"creategroup","name":"the team"}'],
    ),
    (
        CreateGroup("the team", "beta"),
        [
            "creategrouprealm beta the team",
            '{"command":"creategroup","name":"the team","realm":"beta"}',
            '{"command":"creategrouprealm","realm":"beta","name":"the team"}',
        ],
    ),
    (ListGroup(), ["listgroup", '{"command":"listgroup"}']),
    (
        ListGroup("beta"),
        [
            "listgrouprealm beta",
            "listgroup beta",
            '{"command":"listgrouprealm","realm":"beta"}',
            '{"command":"listgroup","realm":"beta"}',
        ],
    ),
    (
        ListGroup(after=TEAM),
        ["listgroup after=12", "listgroup after=#12", '{"command":"listgroup","after":12}'],
    ),
    (
        ListGroup("beta", TEAM_THERE),
        ["listgrouprealm beta after=#12", '{"command":"listgrouprealm","realm":"beta","after":12}'],
    ),
    (
        InviteGroup(TEAM, BOB),
        [
            "invitegroup 12 bob",
            "invitegroup #12 bob",
            '{"command":"invitegroup","group":"#12","user":"bob"}',
            '{"command":"invitegroup","group":"12","user":"bob"}',
            '{"command":"invitegroup","group":12,"user":"bob"}',
        ],
    ),
    (
        InviteGroup(TEAM_THERE, BOB_THERE),
        [
            "invitegroup #12@beta bob@beta",
            "invitegroup 12@beta bob@beta",
            "invitegrouprealm beta 12 bob",
            "invitegrouprealm beta #12@beta bob",
            '{"command":"invitegrouprealm","realm":"beta","group":12,"user":"bob"}',
        ],
    ),
    (
        InviteGroup(TEAM_THERE, Address("bob", "alpha")),
        ["invitegroup #12@beta bob@alpha", "invitegrouprealm beta #12 bob@alpha"],
    ),
    (
        SendGroup(TEAM_THERE, "hi"),
        [
            "sendg #12@beta hi",
            "sendgrouprealm beta 12 hi",
            '{"command":"sendg","group":"12@beta","text":"hi"}',
            '{"command":"sendgrouprealm","realm":"beta","group":12,"text":"hi"}',
        ],
    ),
    (
        SendGroupFile(TEAM_THERE, "a.png", b"hi"),
        [
            "sendgroupfile #12@beta a.png aGk=",
            "sendgroupfilerealm beta 12 a.png aGk=",
            '{"command":"sendgroupfile","group":"12@beta","name":"a.png","data":"aGk="}',
            '{"command":"sendgroupfilerealm","realm":"beta","group":12,"name":"a.png",'
            '"data":"aGk="}',
        ],
    ),
    (
        InboxGroup(TEAM_THERE, limit=3),
        [
            "inboxgroup #12@beta limit=3",
            "inboxgrouprealm beta 12 limit=3",
            '{"command":"inboxgroup","group":"#12@beta","limit":3}',
            '{"command":"inboxgrouprealm","realm":"beta","group":"#12","limit":3}',
        ],
    ),
    (Members(TEAM), ["members #12", "members 12", '{"command":"members","group":12}']),
    (
        Members(TEAM, BOB_THERE),
        ["members 12 bob@beta", "members #12 after=bob@beta"],
    ),
    (LeaveGroup(TEAM), ["leavegroup 12", '{"command":"leavegroup","group":"#12"}']),
    (Block(BOB), ["block bob", '{"command":"block","user":"bob"}']),
    (
        Block(BOB_THERE),
        [
            "block bob@beta",
            "blockrealm beta bob",
            '{"command":"blockrealm","realm":"beta","user":"bob"}',
        ],
    ),
    (
        Unblock(BOB_THERE),
        [
            "unblock bob@beta",
            "unblockrealm beta bob",
            '{"command":"unblock","user":"bob@beta"}',
            '{"command":"unblockrealm","realm":"beta","user":"bob"}',
        ],
    ),
    (ListBlocked(), ["blocked", '{"command":"blocked"}']),
    (Ban(TEAM, BOB), ["ban 12 bob", '{"command":"ban","group":"#12","user":"bob"}']),
    (
        Ban(TEAM_THERE, BOB_THERE),
        [
            "ban #12@beta bob@beta",
            "banrealm beta 12 bob",
            '{"command":"banrealm","realm":"beta","group":12,"user":"bob"}',
        ],
    ),
    (
        Unban(TEAM_THERE, BOB_THERE),
        [
            "unban 12@beta bob@beta",
            "unbanrealm beta #12 bob",
            '{"command":"unban","group":"12@beta","user":"bob@beta"}',
            '{"command":"unbanrealm","realm":"beta","group":12,"user":"bob"}',
        ],
    ),
    (
        ChooseGroupHistory(TEAM, "joining"),
        [
            "grouphistory 12 joining",
            "GroupHistory #12 joining",
            '{"command":"grouphistory","group":"#12","history":"joining"}',
        ],
    ),
    (
        ChooseGroupHistory(TEAM_THERE, "all"),
        [
            "grouphistory #12@beta all",
            "grouphistoryrealm beta 12 all",
            '{"command":"grouphistoryrealm","realm":"beta","group":12,"history":"all"}',
        ],
    ),
    (Accept(TEAM), ["accept 12", '{"command":"accept","group":12}']),
    (
        Accept(TEAM_THERE),
        [
            "accept #12@beta",
            "acceptrealm beta 12",
            '{"command":"acceptrealm","realm":"beta","group":"#12"}',
        ],
    ),
    (
        Decline(TEAM_THERE),
        [
            "decline 12@beta",
            "declinerealm beta 12",
            '{"command":"decline","group":"#12@beta"}',
            '{"command":"declinerealm","realm":"beta","group":12}',
        ],
    ),
    (Kick(TEAM, BOB), ["kick #12 bob", '{"command":"kick","group":12,"user":"bob"}']),
    (
        History(TEAM, after=5, limit=20),
        [
            "history #12 after=5 limit=20",
            "history #12 limit=20 after=5",
            '{"command":"history","conversation":"#12","after":5,"limit":20}',
        ],
    ),
    (
        History(Address("12"), before=120),
        ["history 12 120", '{"command":"history","conversation":"12","before":120}'],
    ),
    (Read(BOB, 7), ["read bob 7", '{"command":"read","conversation":"bob","seq":7}']),
    (
        Received(TEAM_THERE, 0),
        ["received #12@beta 0", '{"command":"received","conversation":"#12@beta","seq":0}'],
    ),
    (
        Upload(TEAM, "a.png", 5, SHA256),
        [
            f"upload #12 a.png 5 {SHA256}",
            f'{{"command":"upload","to":"#12","name":"x/a.png","size":5,"sha256":"{SHA256}"}}',
        ],
    ),
    (
        Chunk("u_1", 0, b"hi"),
        ["chunk u_1 0 aGk=", '{"command":"chunk","upload":"u_1","offset":0,"data":"aGk="}'],
    ),
    (
        GetFile("f_1", 3),
        [
            "getfile f_1 3",
            "getfile f_1 offset=3",
            '{"command":"getfile","file":"f_1","offset":3}',
        ],
    ),
    (Files("offer"), ["files offer", '{"command":"files","mode":"offer"}']),
    (
        AddRealm("beta", "wss://chat.example", 8765),
        [
            "addrealm beta wss://chat.example 8765",
            '{"command":"addrealm","name":"beta","address":"wss://chat.example","port":8765}',
        ],
    ),
    (
        AddRealm("beta", "::1", 8765, "ab12"),
        ["addrealm beta ::1 8765 ab12", "addrealm beta ::1 8765 fingerprint=ab12"],
    ),
    (
        OpenLink(1, "alpha", b"k" * 32, b"n" * 32, 8765, "ws"),
        [
            '{"command":"link","version":1,"name":"alpha","port":8765,"scheme":"ws",'
            f'"key":"{"a2tr" * 10}a2s=","nonce":"{"bm5u" * 10}bm4="}}'
        ],
    ),
    (ProveLink(b"s" * 64), [f'{{"command":"linkproof","signature":"{"c3Nz" * 21}cw=="}}']),
    (ListRealm(), ["listrealm", '{"command":"listrealm"}']),
    (ShowOutbox(), ["outbox", '{"command":"outbox"}']),
    (SetFormat("json"), ["format json", '{"command":"format","dialect":"json"}']),
    (Help(), ["help", "help  ", '{"command":"help"}']),
    (Help("send"), ["help send", "help topic=send", '{"command":"help","topic":"send"}']),
    (Ping(), ["ping", "  PING\t\r\n", ' \n{"command":"ping"}']),
]
