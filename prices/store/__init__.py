"""The database: engine, tables, and the questions about the present."""
