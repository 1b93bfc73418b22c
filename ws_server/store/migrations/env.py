"""Run by Alembic; the connection comes from `ws_server.store.database`."""

from alembic import context

from ws_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
