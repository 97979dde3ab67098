"""The published catalogue: its bodies, packed and in Redis, and the copy that a web process keeps."""
