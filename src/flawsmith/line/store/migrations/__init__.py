"""Alembic migrations of the results store; `database.open_engine` runs them."""
