"""Alembic's scripts: one line of versions for each database file. Read by `store.schema`, never imported by name."""
