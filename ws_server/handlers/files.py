"""Handlers that receive files, and send them after their messages."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from shared.protocol.commands.files import (
    Chunk,
    ChunkTaken,
    FileOffered,
    Files,
    FilesMode,
    GetFile,
    SendFile,
    SendGroupFile,
    Upload,
    UploadOpened,
)
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.media_types import media_type
from shared.protocol.values import MAX_WHOLE_FILE, ConversationAddress, fold, parse_conversation
from ws_server.context import Context, handles
from ws_server.message_replies import chunk_taken
from ws_server.net.file_lane import lane_of
from ws_server.store.accounts import disabled_accounts
from ws_server.store.contents import content_fetches, files
from ws_server.store.contents.blobs import Blobs
from ws_server.store.contents.content_fetches import ContentSource
from ws_server.store.contents.files import Opened, OpenUpload, StoredFile
from ws_server.store.drafts import NO_FILE, Draft, Storage
from ws_server.store.engines import bulk
from ws_server.store.ids import new_id
from ws_server.store.message_content import MessageContent

TOUCH_EVERY = 3600 * 1000
"""Milliseconds after which a chunk renews its upload's time of last use."""
CHUNK = 128 * 1024
"""Raw bytes expected in one `chunk`: 171 KiB of base64."""
ASK_AGAIN = 2.0
"""Seconds after which to retry for a content in transit from another realm."""


@handles(SendFile)
async def sendfile(ctx: Context, request: SendFile) -> Draft:
    return await _whole_file(ctx, request.to, request)


@handles(SendGroupFile)
async def sendgroupfile(ctx: Context, request: SendGroupFile) -> Draft:
    return await _whole_file(ctx, request.group, request)


async def _whole_file(
    ctx: Context, target: ConversationAddress, request: SendFile | SendGroupFile
) -> Draft:
    name, content, key = request.name, request.data, request.idempotency_key
    if len(content) > MAX_WHOLE_FILE:
        raise ChatError(
            ErrorCode.TOO_LARGE,
            f"One frame carries at most {MAX_WHOLE_FILE:,} bytes of a file; use upload and chunk",
        )
    account, realm = ctx.user, ctx.realm

    def check(tx: Connection) -> bool:
        """Check in advance, before the content is stored, for a refusal or a repetition."""
        if key is not None and bulk.used_keys(tx, [(account.id, key)]):
            return False
        disabled_accounts.check_target(tx, account.id, target)
        stray = realm.stray_bytes.get(account.id, 0)
        files.check_quota(tx, account.id, len(content) + stray, realm.max_user_files)
        realm.blobs.check_room(len(content))
        return True

    file, storage = None, NO_FILE
    if await realm.database.read(check):
        sha256 = await realm.blobs.run(realm.blobs.put, content)
        file = StoredFile(new_id("f"), name, len(content), media_type(name), sha256)
        storage = Storage(realm.max_user_files, stored=len(content))
    said = MessageContent("", file, request.bot is True)
    return Draft(account.id, target, said, key, storage)


@handles(Upload)
async def upload(ctx: Context, request: Upload) -> UploadOpened:
    account, realm = ctx.user, ctx.realm
    if request.size > realm.max_file:
        raise ChatError(ErrorCode.TOO_LARGE, f"A file may have at most {realm.max_file:,} bytes")
    wanted = OpenUpload(
        id=new_id("u"),
        user_id=account.id,
        target=fold(str(request.to)),
        name=request.name,
        size=request.size,
        sha256=request.sha256,
        key=request.idempotency_key,
        bot=request.bot is True,
        touched=0,
    )

    def begin(tx: Connection, now: int) -> Opened:
        key = wanted.key
        if key is not None and bulk.used_keys(tx, [(account.id, key)]):
            # The last chunk will repeat the first message; a broken upload is left to others.
            return files.open_upload(tx, wanted, now, realm.max_user_files, lambda id: True)
        disabled_accounts.check_target(tx, account.id, request.to)
        realm.blobs.check_room(request.size)
        return files.open_upload(tx, wanted, now, realm.max_user_files, realm.uploading.is_sent)

    async with realm.uploading.turn(account.id):
        opened: Opened = await realm.journal.write(begin)
        id = opened.upload.id
        realm.uploading.heard(id, ctx.session)
        if opened.was is not None:
            async with realm.blobs.lock(opened.was):
                await realm.blobs.run(realm.blobs.rename_upload, opened.was, id)
    async with realm.blobs.lock(id):
        offset = await realm.blobs.run(realm.blobs.upload_offset, id, request.size)
    return UploadOpened(id, offset, CHUNK)


@handles(Chunk, answer=chunk_taken)
async def chunk(ctx: Context, request: Chunk) -> ChunkTaken | Draft:
    account, realm = ctx.user, ctx.realm
    async with realm.blobs.lock(request.upload):
        opened = await realm.database.read(files.upload, account.id, request.upload)
        realm.uploading.heard(opened.id, ctx.session)
        done = await realm.blobs.run(_take_chunk, realm.blobs, opened, request)
    if not done:
        # `touched` is in the future if the clock was ahead.
        if abs(time.time() * 1000 - opened.touched) > TOUCH_EVERY:
            await realm.journal.write(lambda tx, now: files.touch(tx, opened.id, now))
        return ChunkTaken(request.offset + len(request.data))
    file = StoredFile(new_id("f"), opened.name, opened.size, media_type(opened.name), opened.sha256)
    target = parse_conversation(opened.target)
    storage = Storage(realm.max_user_files, opened.size, opened.id)
    said = MessageContent("", file, opened.bot)
    return Draft(account.id, target, said, opened.key, storage)


def _take_chunk(blobs: Blobs, opened: OpenUpload, request: Chunk) -> bool:
    """Append a chunk to its upload; return True if that completed the file as a blob."""
    here = blobs.upload_offset(opened.id, opened.size)
    end = request.offset + len(request.data)
    if request.offset != here:
        raise ChatError(ErrorCode.CONFLICT, f"Go on at offset {here}", offset=here)
    if end > opened.size:
        raise ChatError(ErrorCode.TOO_LARGE, f"The file was announced with {opened.size:,} bytes")
    blobs.append(opened.id, request.offset, request.data)
    if end < opened.size:
        return False
    if not blobs.finish(opened.id, opened.sha256):
        raise ChatError(
            ErrorCode.BAD_ARGUMENTS,
            "The content does not have the sha256 that upload announced; start it again",
            offset=0,
        )
    return True


@handles(GetFile)
async def getfile(ctx: Context, request: GetFile) -> FileOffered:
    user_id = ctx.user.id

    def ask(tx: Connection) -> tuple[StoredFile, ContentSource | None]:
        return files.readable(tx, user_id, request.file), content_fetches.source_of(
            tx, request.file
        )

    file, source = await ctx.realm.database.read(ask)
    if source is not None:
        raise not_here(file, source)
    if request.offset >= file.size:
        raise ChatError(
            ErrorCode.CONFLICT, f"The offset must be below {file.size}", offset=file.size
        )
    if not lane_of(ctx.realm.pieces, ctx.session).add(file, request.offset):
        raise ChatError(
            ErrorCode.RATE_LIMITED, "Too many files are on their way to you", retry_after=5
        )
    return FileOffered(file)


def not_here(file: StoredFile, source: ContentSource) -> ChatError:
    """Return the refusal for a file whose content is in another realm only."""
    if source.given_up:
        return ChatError(
            ErrorCode.UNKNOWN_FILE,
            f"{source.realm} did not send the content of {file.name}; ask for it to be sent again",
        )
    return ChatError(
        ErrorCode.UNAVAILABLE,
        f"{file.name} is still on its way from {source.realm}; ask again soon",
        retry_after=ASK_AGAIN,
    )


@handles(Files)
def choose(ctx: Context, request: Files) -> FilesMode:
    ctx.session.options.files_pushed = request.mode == "push"
    return FilesMode(request.mode)
