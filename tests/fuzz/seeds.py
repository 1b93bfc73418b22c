"""Frames that are tried in every state of a session; each has a reason to be here.

A bug found by fuzzing, and every new path of a parser, adds a line. `GROUP`, `FILE`, `UPLOAD` and
`TOKEN` are replaced by real ones of the person who sends them.
"""

from __future__ import annotations

SEEDS: list[str] = [
    # Frames that are nearly nothing
    "",  # empty
    " \t\r\n",  # blank
    "\n",  # what a terminal sends for a bare return
    "\x0b{}",  # blank for bytes.lstrip, which finds the JSON dialect, but not in JSON
    "{",  # JSON that ends at once
    '{\0"\0c\0',  # looks like UTF-16
    "{}",  # no command
    "[]",  # JSON, but text to us
    "null",
    '"ping"',
    "\ufeffping",  # a byte order mark before the word
    '\ufeff{"command":"ping"}',  # and before JSON
    # Numbers, nesting and size
    '{"command":"read","conversation":"bob","seq":' + "9" * 5_000 + "}",  # int() has a limit
    '{"command":"read","conversation":"bob","seq":1e999}',  # infinite as a float
    '{"command":"read","conversation":"bob","seq":9007199254740991}',  # the largest there is
    '{"command":"read","conversation":"bob","seq":-1}',
    '{"command":"read","conversation":"bob","seq":true}',  # True is an int
    '{"command":"members","group":true}',
    '{"command":"members","group":12.0}',
    '{"command":"members","group":18446744073709551616}',  # above 64 bits
    '{"command":"members","group":999999999999999}',  # the largest group number
    '{"command":"sync","have":' + '{"a":' * 2_000 + "1" + "}" * 2_001,  # deep: no RecursionError
    '{"a":' * 50_000,  # deep and unfinished
    '{"command":"send","to":' + "[" * 900 + "]" * 900 + ',"text":"x"}',  # as deep as orjson takes
    "x" * 100_000,  # one long word
    "send bob " + "x" * 16_384,  # the longest text
    "send bob " + "x" * 16_385,  # and one byte more
    "send bob " + "é" * 8_193,
    "history bob limit=" + "9" * 100,
    # What is nearly JSON
    '{"command":"ping","x":NaN}',
    '{"command":"send","to":"bob","text":"\\ud800"}',  # a lone surrogate has no UTF-8
    '{"command":"send","to":"bob","text":"a\\u0000b"}',  # NUL
    '{"command":"\\ud800"}',  # where the command is shown
    '{"\\ud800":1,"command":"ping"}',  # where the key is shown
    '{"command":"ping","\\u001b[2J":1}',  # a terminal's escape where the key is shown
    '{"command":"ping","command":"whoami"}',  # the last one counts
    '{"command":"ping"}{"command":"ping"}',
    '{"command":"ping","id":"' + "x" * 65 + '"}',  # a label that is too long
    '{"command":"nope","id":"7"}',  # a label on what is no command
    '{"command":"ping","id":{"a":[]}}',
    '{"command":["ping"]}',  # unhashable where a name is looked up
    '{"command":{"a":1}}',
    # Arguments that are left out, or of other commands
    "sync",  # its argument is JSON only
    "sync have={}",
    '{"command":"sync"}',
    '{"command":"sync","have":{}}',
    '{"command":"sync","have":{"bob":9007199254740991}}',  # ahead of the history
    '{"command":"sync","have":{"nobody":0,"#999":5,"bob@beta":1,"bob@alpha":0,"BOB":0}}',
    '{"command":"sync","have":{"bob":0,"bob@alpha":1}}',  # one conversation twice
    '{"command":"sync","have":{},"epoch":"another"}',
    "send",
    "sendpcrealm",
    "sendpcrealm beta",
    "send bob idempotency_key=1",
    "listpc realm=",
    "inbox bob before=1 before=2",
    "history bob before=1 after=1",
    "history bob after=9007199254740991 limit=200",
    "history GROUP before=1",
    # Realms: this one under its own name, one that is not known
    "send bob@alpha hi",
    "send bob@ALPHA hi",
    "sendpcrealm alpha bob hi",
    "sendgrouprealm alpha 1 hi",
    "listpcrealm alpha",
    "creategrouprealm alpha team",
    "send bob@beta hi",
    "sendgrouprealm beta 1 hi",
    "creategrouprealm beta team",
    "listgrouprealm beta",
    "upload bob@beta a 1 " + "ab" * 32,
    "history bob@beta",
    "addrealm beta 127.0.0.1 1",
    "addrealm alpha 127.0.0.1 1",  # this realm's own name
    "addrealm beta \u202e 1",
    "listrealm",
    "outbox",
    # What people write
    "send bob \n",
    "send bob \x1b]0;title\x07",  # sets a terminal's title
    "send bob hi\n[eve] forged",
    "send bob \u202e\u2066\u2028",
    "send alice to oneself, whoever that is",
    "sendg GROUP \x9b31m",
    "creategroup \u202eteam",
    "creategroup  ",
    '{"command":"send","to":"bob","text":" ","idempotency_key":"k"}',
    '{"command":"send","to":"bob","text":"repeated","idempotency_key":"k"}',  # the same key
    '{"command":"sendg","group":"GROUP","text":"repeated","idempotency_key":"k"}',  # and elsewhere
    # Files
    "sendfile bob /etc/passwd",  # a path, and no content
    "sendfile bob ../../x aGk=",
    "sendfile bob \u202egnp.exe aGk=",
    "sendfile bob x ====",
    "sendgroupfile GROUP x aGk=",
    '{"command":"sendfile","to":"bob","name":"x","data":""}',
    '{"command":"sendfile","to":"bob","name":"x","data":"aGk=","idempotency_key":"k"}',
    "upload bob x 104857601 " + "ab" * 32,  # over the limit of a file
    "upload bob x 9007199254740991 " + "cd" * 32,
    "upload bob x 1 " + "00" * 32,
    "upload GROUP x 2 8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4",
    "chunk UPLOAD 0 aGk=",
    "chunk UPLOAD 1 aGk=",  # a wrong offset
    "chunk UPLOAD 9007199254740991 aGk=",
    "chunk ../../x 0 aGk=",  # an upload's name is a file name on the server
    "chunk \x00 0 aGk=",
    '{"command":"chunk","upload":"a/b","offset":0,"data":"aGk="}',
    "getfile FILE",
    "getfile FILE 1",
    "getfile FILE 9007199254740991",
    "getfile ../../x",
    "getfile f_",
    "files push",
    "files offer",
    # Sessions
    "auth",
    "auth nobody wrong-password",
    "auth bob@beta x",
    "resume TOKEN",
    "resume nonsense",
    '{"command":"resume","token":"\u00e9"}',
    "register bob Bob secret1 Peru",  # the name is taken
    "register BOB Bob secret1 Peru",
    "passwd wrong-password secret2",
    "logout",
    "whoami",
    "format json",
    "format text",
    '{"command":"format","dialect":"json","id":"f"}',
    # Groups
    "invitegroup GROUP bob",
    "invitegroup GROUP nobody",
    "invitegroup GROUP bob@beta",
    "kick GROUP bob",
    "kick GROUP alice",
    "ban GROUP bob",
    "unban GROUP bob",
    "grouphistory GROUP joining",
    "grouphistory GROUP all",
    "accept GROUP",
    "decline GROUP",
    "block bob",
    "unblock bob",
    "blocked",
    "members GROUP",
    "leavegroup GROUP",
    "sendg GROUP hi",
    "inboxgroup GROUP",
    "listgroup",
    # Help
    "help",
    "help nonsense",
    "help \x1b[2J",
    "help " + "x" * 65,
    "snd bob hi",
    "ping pong",
    "ping",
]

RAW: list[bytes] = [
    b"\xff",  # no UTF-8
    b"ping \xc3",  # cut in the middle of a character
    b'{"command":"ping","x":"\xff"}',  # in the JSON dialect
    b'{"command":"ping","x":"\xed\xa0\x80"}',  # a surrogate, encoded
    b"\xef\xbf\xbf\xf4\x90\x80\x80",  # beyond Unicode
]
"""Text frames that are not UTF-8: their connection closes with 1007."""
