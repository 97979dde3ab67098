"""Who may refresh and who is alive: the lease, the runs with their fence, freshness, and heartbeats."""
