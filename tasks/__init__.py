"""The queue door: what workers and beat run, and the operator's commands."""
