"""Messages come again 2 s after they were taken: `celery worker -I tests.system.cluster.short_visibility`."""

from tasks.celery import app

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 2,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
