"""The contract of groups."""

from __future__ import annotations

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
from shared.protocol.values import Address
from tests.contract.row import BOB, BOB_THERE, PAGE, SENT, TEAM, TEAM_THERE, Row

ROWS = [
    Row(
        usage="creategroup <name...>",
        realm_usage="creategrouprealm <realm> <name...>",
        fields="group name",
        arguments={"name": "team"},
        spellings=[
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
        ],
    ),
    Row(
        usage="listgroup [realm] [after]",
        realm_usage="listgrouprealm <realm> [after]",
        fields="groups",
        optional="more",
        spellings=[
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
                [
                    "listgrouprealm beta after=#12",
                    '{"command":"listgrouprealm","realm":"beta","after":12}',
                ],
            ),
        ],
    ),
    Row(
        usage="invitegroup <group> <user>",
        realm_usage="invitegrouprealm <realm> <group> <user>",
        fields="group user",
        arguments={"group": "#1", "user": "carol"},
        spellings=[
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
        ],
    ),
    Row(
        usage="sendg <group> <text...>",
        realm_usage="sendgrouprealm <realm> <group> <text...>",
        fields=SENT,
        optional="duplicate file",
        arguments={"group": "#1", "text": "hi"},
        spellings=[
            (
                SendGroup(TEAM_THERE, "hi"),
                [
                    "sendg #12@beta hi",
                    "sendgrouprealm beta 12 hi",
                    '{"command":"sendg","group":"12@beta","text":"hi"}',
                    '{"command":"sendgrouprealm","realm":"beta","group":12,"text":"hi"}',
                ],
            ),
        ],
    ),
    Row(
        usage="inboxgroup <group> [before] [limit]",
        realm_usage="inboxgrouprealm <realm> <group> [before] [limit]",
        fields=PAGE,
        arguments={"group": "#1"},
        spellings=[
            (
                InboxGroup(TEAM_THERE, limit=3),
                [
                    "inboxgroup #12@beta limit=3",
                    "inboxgrouprealm beta 12 limit=3",
                    '{"command":"inboxgroup","group":"#12@beta","limit":3}',
                    '{"command":"inboxgrouprealm","realm":"beta","group":"#12","limit":3}',
                ],
            ),
        ],
    ),
    Row(
        usage="members <group> [after]",
        fields="members",
        optional="more",
        arguments={"group": "#1"},
        spellings=[
            (Members(TEAM), ["members #12", "members 12", '{"command":"members","group":12}']),
            (Members(TEAM, BOB_THERE), ["members 12 bob@beta", "members #12 after=bob@beta"]),
        ],
    ),
    Row(
        usage="leavegroup <group>",
        fields="group",
        arguments={"group": "#1"},
        spellings=[
            (LeaveGroup(TEAM), ["leavegroup 12", '{"command":"leavegroup","group":"#12"}']),
        ],
    ),
    Row(
        usage="kick <group> <user>",
        fields="group user",
        arguments={"group": "#1", "user": "bob"},
        spellings=[
            (Kick(TEAM, BOB), ["kick #12 bob", '{"command":"kick","group":12,"user":"bob"}']),
        ],
    ),
    Row(
        usage="ban <group> <user>",
        realm_usage="banrealm <realm> <group> <user>",
        fields="group user",
        arguments={"group": "#1", "user": "bob"},
        spellings=[
            (Ban(TEAM, BOB), ["ban 12 bob", '{"command":"ban","group":"#12","user":"bob"}']),
            (
                Ban(TEAM_THERE, BOB_THERE),
                [
                    "ban #12@beta bob@beta",
                    "banrealm beta 12 bob",
                    '{"command":"banrealm","realm":"beta","group":12,"user":"bob"}',
                ],
            ),
        ],
    ),
    Row(
        usage="unban <group> <user>",
        realm_usage="unbanrealm <realm> <group> <user>",
        fields="group user",
        arguments={"group": "#1", "user": "carol"},
        spellings=[
            (
                Unban(TEAM_THERE, BOB_THERE),
                [
                    "unban 12@beta bob@beta",
                    "unbanrealm beta #12 bob",
                    '{"command":"unban","group":"12@beta","user":"bob@beta"}',
                    '{"command":"unbanrealm","realm":"beta","group":12,"user":"bob"}',
                ],
            ),
        ],
    ),
    Row(
        usage="grouphistory <group> <history>",
        realm_usage="grouphistoryrealm <realm> <group> <history>",
        fields="group history",
        arguments={"group": "#1", "history": "joining"},
        spellings=[
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
        ],
    ),
    Row(
        usage="accept <group>",
        realm_usage="acceptrealm <realm> <group>",
        fields="group",
        arguments={"group": "#1"},
        spellings=[
            (Accept(TEAM), ["accept 12", '{"command":"accept","group":12}']),
            (
                Accept(TEAM_THERE),
                [
                    "accept #12@beta",
                    "acceptrealm beta 12",
                    '{"command":"acceptrealm","realm":"beta","group":"#12"}',
                ],
            ),
        ],
    ),
    Row(
        usage="decline <group>",
        realm_usage="declinerealm <realm> <group>",
        fields="group",
        arguments={"group": "#2"},
        spellings=[
            (
                Decline(TEAM_THERE),
                [
                    "decline 12@beta",
                    "declinerealm beta 12",
                    '{"command":"decline","group":"#12@beta"}',
                    '{"command":"declinerealm","realm":"beta","group":12}',
                ],
            ),
        ],
    ),
]
