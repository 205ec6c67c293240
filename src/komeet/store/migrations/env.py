"""Run by Alembic: brings the database of the connection that it is handed to the revision that it is asked for."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
)
context.run_migrations()
