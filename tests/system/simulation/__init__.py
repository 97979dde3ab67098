"""Deterministic simulation: the real claim, refresh and beat code in a world that a seed decides.

Workers, beats, Redis, the database and upstream share one virtual clock in one thread. Whenever the
code waits for the outside it may be made to wait long, fail, lose the reply, or die.
"""
