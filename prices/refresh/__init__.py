"""The story of a refresh: claim, fetch, decide, commit, publish, release; and the replay of dated bodies."""
