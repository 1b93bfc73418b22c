"""Run by Alembic; `ws_server.store.migrating` passes the connection."""

from alembic import context

from ws_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
