"""The one table of routes. A view's module is loaded by its first request, or by `load_all` before.

What asks the database brings SQLAlchemy, which takes longer to load than everything else together. What is
served from memory needs none of it: a process is ready before, and `load_all` is for off the request's path.
Flask's own pattern: https://flask.palletsprojects.com/en/stable/patterns/lazyloading/.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

from flask import Flask
from werkzeug.routing import BaseConverter
from werkzeug.utils import import_string

from prices.formats.registry import FORMATS

ROUTES: Final = (
    ("GET", "/healthz", "web.health.alive"),
    ("GET", "/readyz", "web.health.ready"),
    ("GET", "/health", "web.health.report"),
    ("GET", "/metrics", "web.metrics.metrics"),
    ("GET", "/api/v1/models", "web.api.models.list_models"),
    ("GET", "/api/v1/model/<model:model_id>", "web.api.models.one_model"),
    ("GET", "/api/v1/prices", "web.api.prices.list_prices"),
    ("GET", "/api/v1/prices/<model:model_id>", "web.api.prices.one_price"),
    ("GET", "/api/v1/prices/<model:model_id>/history", "web.api.prices.price_history"),
    ("GET", "/api/v1/changes", "web.api.changes.list_changes"),
    ("POST", "/api/v1/cost", "web.api.cost.cost"),
    *(("GET", form.path, "web.api.formats.client_format") for form in FORMATS),
)


class ModelIdConverter(BaseConverter):
    """A model's id in a path: any characters, slashes at its beginning and end included."""

    part_isolating = False
    regex = "(?s:.+?)"
    weight = 200


class LazyView:
    """A view by the name that it can be imported by."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.__module__, _, _ = name.rpartition(".")

    @cached_property
    def view(self) -> Callable[..., Any]:
        """The view itself."""
        found: Callable[..., Any] = import_string(self.__name__)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a request."""
        return self.view(*args, **kwargs)


def register(app: Flask) -> None:
    """Give the application its routes, without loading any view.

    A path is what it is: werkzeug's own ways with slashes redirect to an address made of the Host header.
    """
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters["model"] = ModelIdConverter
    for method, path, name in ROUTES:
        app.add_url_rule(path, path, LazyView(name), methods=[method])


def load_all() -> None:
    """Load every view."""
    for _method, _path, name in ROUTES:
        import_string(name)
