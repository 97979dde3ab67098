"""Run Alembic's migrations on the connection that the release step hands over."""

from alembic import context

from prices.runtime.settings import Settings
from prices.store.database import make_engine
from prices.store.tables import metadata


def run() -> None:
    """Migrate over the connection in the configuration's attributes, or print SQL offline."""
    if context.is_offline_mode():
        context.configure(
            dialect_name=context.config.attributes["dialect_name"],
            target_metadata=metadata,
            literal_binds=True,
            output_buffer=context.config.output_buffer,
        )
        with context.begin_transaction():
            context.run_migrations()
        return
    connection = context.config.attributes.get("connection")
    if connection is None:  # the alembic command itself: revision, current, history
        with make_engine(Settings.from_env().database_url).connect() as own:
            context.configure(connection=own, target_metadata=metadata)
            with context.begin_transaction():
                context.run_migrations()
        return
    context.configure(connection=connection, target_metadata=metadata)
    context.run_migrations()


run()
