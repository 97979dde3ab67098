"""The HTTP door: serves the published prices. Enqueues nothing and calls upstream never."""

from flask import Flask

from prices.runtime.logs import configure_logs
from prices.runtime.settings import Settings
from web import assets, errors, pages, request_checks, routes
from web.context import EXTENSION, WebContext
from web.published import PublishedBodies
from web.responses import strict


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application for `settings`, the environment's unless given. Connects to nothing."""
    settings = settings or Settings.from_env()
    configure_logs(settings.log_format)
    app = Flask(__name__, static_folder=None)  # Flask's own looks at the disk for names that clients send
    context = app.extensions[EXTENSION] = WebContext(settings)
    routes.register(app)
    app.register_blueprint(pages.blueprint)
    assets.register(app)
    request_checks.register(app)
    errors.register(app)
    app.wsgi_app = PublishedBodies(strict(app.wsgi_app), context.reader)  # type: ignore[method-assign]  # Flask's own way
    return app
