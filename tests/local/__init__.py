"""`make run` and what stands behind it, with real processes."""
