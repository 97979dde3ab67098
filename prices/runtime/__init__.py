"""What every process needs: settings, logs, clocks, background work, the Redis client and its scripts."""
