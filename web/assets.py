"""The files of the pages: read once at start, and served from memory by the names that they have.

No name that a client sends reaches the file system.
"""

import hashlib
from functools import partial
from pathlib import Path
from typing import Final

from flask import Flask, Response, request

from web.bodies import MadeBody
from web.responses import respond

STATIC: Final = Path(__file__).parent / "static"
CONTENT_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER: Final = "public, max-age=31536000, immutable"


class Asset:
    """One file: its bytes, what they are, and a version that changes with them."""

    def __init__(self, file: Path) -> None:
        content = file.read_bytes()
        self.body = MadeBody(content)
        self.content_type = f"{CONTENT_TYPES[file.suffix]}; charset=utf-8"
        self.version = hashlib.sha256(content).hexdigest()[:12]
        self.path = f"/static/{file.name}"


def register(app: Flask) -> None:
    """Give the application a route for each file that is there, and templates their addresses."""
    assets = {file.name: Asset(file) for file in sorted(STATIC.iterdir())}
    for name, asset in assets.items():
        app.add_url_rule(asset.path, f"static/{name}", partial(_serve, asset), methods=["GET"])
    addresses = {name: f"{asset.path}?v={asset.version}" for name, asset in assets.items()}
    app.add_template_global(addresses.__getitem__, "static_url")


def _serve(asset: Asset) -> Response:
    """Send a file; who asks for it by the version that it has may keep it for ever."""
    kept = FOR_EVER if request.args.get("v") == asset.version else "no-cache"
    return respond(asset.body, asset.content_type, {"Cache-Control": kept})
