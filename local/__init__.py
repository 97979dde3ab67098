"""The whole cluster on one machine, for developers: `python -m local run` and `python -m local demo`.

Production needs none of this: there the platform runs the Procfile and gives Redis and the database.
Nothing here imports the service; it is started the way a platform starts it.
"""
