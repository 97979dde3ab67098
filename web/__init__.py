"""The HTTP door: serves the published prices. Enqueues nothing and calls upstream never."""

from typing import Final

from flask import Flask

from prices.health import HealthReporter
from prices.logs import configure_logs
from prices.services import Services
from prices.settings import Settings
from prices.snapshot import SnapshotReader
from web import errors, health, metrics, pages, responses
from web.api import changes, cost, models, prices
from web.context import EXTENSION, SharedHealth, WebContext

REDIS_SECONDS: Final = 0.25
"""A request waits no longer for Redis: the database and the copy in memory stand behind it."""


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application for `settings`, the environment's unless given. Connects to nothing."""
    services = Services.make(settings, redis_seconds=REDIS_SECONDS)
    configure_logs(services.settings.log_format)
    app = Flask(__name__)
    app.url_map.strict_slashes = False
    app.extensions[EXTENSION] = WebContext(
        services, SnapshotReader(services), SharedHealth(HealthReporter(services))
    )
    for door in (health, metrics, models, prices, changes, cost, pages):
        app.register_blueprint(door.blueprint)
    errors.register(app)
    app.after_request(responses.add_security_headers)
    return app
