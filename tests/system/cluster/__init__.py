"""The whole cluster as real processes on this machine: how it starts, what it survives, how it ends."""
