"""The HTTP door: serves the published prices. Enqueues nothing and calls upstream never."""

from flask import Flask

from prices.logs import configure_logs
from prices.settings import Settings
from web import errors, pages, routes
from web.context import EXTENSION, WebContext
from web.published import PublishedBodies
from web.responses import strict


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application for `settings`, the environment's unless given. Connects to nothing."""
    settings = settings or Settings.from_env()
    configure_logs(settings.log_format)
    app = Flask(__name__)
    app.url_map.strict_slashes = False
    context = app.extensions[EXTENSION] = WebContext(settings)
    routes.register(app)
    app.register_blueprint(pages.blueprint)
    errors.register(app)
    app.wsgi_app = PublishedBodies(strict(app.wsgi_app), context.reader)  # type: ignore[method-assign]  # Flask's own way
    return app
