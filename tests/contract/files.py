"""The contract of files."""

from __future__ import annotations

import hashlib

from shared.protocol.commands.files import (
    Chunk,
    Files,
    GetFile,
    SendFile,
    SendGroupFile,
    Upload,
)
from tests.contract.row import BOB_THERE, SENT, TEAM, TEAM_THERE, Row

CONTENT = b"hello"
SHA256 = "ab" * 32

ROWS = [
    Row(
        usage="sendfile <to> <name> <data>",
        realm_usage="sendfilerealm <realm> <to> <name> <data>",
        fields=f"{SENT} file",
        optional="duplicate",
        arguments={"to": "bob", "name": "a.txt", "data": "aGk="},
        spellings=[
            (
                SendFile(BOB_THERE, "a.png", b"hi"),
                [
                    "sendfile bob@beta a.png aGk=",
                    "sendfile bob@beta /home/me/a.png aGk=",
                    "sendfilerealm beta bob a.png aGk=",
                    '{"command":"sendfile","to":"bob@beta","name":"a.png","data":"aGk="}',
                    '{"command":"sendfilerealm","realm":"beta","to":"bob","name":"a.png",'
                    '"data":"aGk="}',
                ],
            ),
        ],
    ),
    Row(
        usage="sendgroupfile <group> <name> <data>",
        realm_usage="sendgroupfilerealm <realm> <group> <name> <data>",
        fields=f"{SENT} file",
        optional="duplicate",
        arguments={"group": "#1", "name": "a.txt", "data": "aGk="},
        spellings=[
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
        ],
    ),
    Row(
        usage="upload <to> <name> <size> <sha256>",
        fields="upload offset chunk",
        arguments={
            "to": "bob",
            "name": "a.txt",
            "size": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
        },
        spellings=[
            (
                Upload(TEAM, "a.png", 5, SHA256),
                [
                    f"upload #12 a.png 5 {SHA256}",
                    '{"command":"upload","to":"#12","name":"x/a.png","size":5,'
                    f'"sha256":"{SHA256}"}}',
                ],
            ),
        ],
    ),
    Row(
        usage="chunk <upload> <offset> <data>",
        fields="offset",
        optional=f"{SENT} duplicate file",
        arguments={"upload": "u_1", "offset": 0, "data": "aGk="},
        spellings=[
            (
                Chunk("u_1", 0, b"hi"),
                [
                    "chunk u_1 0 aGk=",
                    '{"command":"chunk","upload":"u_1","offset":0,"data":"aGk="}',
                ],
            ),
        ],
    ),
    Row(
        usage="getfile <file> [offset]",
        fields="file",
        arguments={"file": "f_1"},
        spellings=[
            (
                GetFile("f_1", 3),
                [
                    "getfile f_1 3",
                    "getfile f_1 offset=3",
                    '{"command":"getfile","file":"f_1","offset":3}',
                ],
            ),
        ],
    ),
    Row(
        usage="files <mode>",
        arguments={"mode": "offer"},
        spellings=[(Files("offer"), ["files offer", '{"command":"files","mode":"offer"}'])],
    ),
]
