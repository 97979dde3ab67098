"""What Flower lacks: logins that are checked, doors shut to other sites, a name for its connection."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from flower.app import Flower
from flower.utils.broker import Redis
from flower.views import BaseHandler
from flower.views.monitor import Metrics
from tornado.web import ErrorHandler, HTTPError, authenticated

from prices.errors import SettingsError

VARIABLE: Final = "FLOWER_BASIC_AUTH"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine under a name that no other site can have."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_logins(env: Mapping[str, str], given: Sequence[str] | None) -> list[str]:
    """Give the logins that Flower accepts, none without a password. Raises SettingsError.

    `given` is what Flower itself has read: of a command line, or of the variable, which it splits at commas.
    The variable is one login here, so that a password may hold commas.
    """
    text = env.get(VARIABLE, "")
    of_variable = list(given or []) == text.split(",")
    logins = [text.strip()] if of_variable else list(given or [])
    logins = [login for login in logins if login]
    for login in logins:
        user, _colon, password = login.partition(":")
        if not (user.strip() and password.strip()):
            raise SettingsError(f"{VARIABLE} must be user:password, and neither may be empty")
        if not (login.isascii() and login.isprintable()):
            raise SettingsError(f"{VARIABLE} holds characters that not every browser sends alike: use ASCII")
    return logins


def name_queue_page(name: str) -> None:
    """Name the connection to Redis that Flower opens for its page of the queues."""
    options = Redis._get_redis_client_args  # noqa: SLF001 - it takes no other way
    Redis._get_redis_client_args = lambda broker: {**options(broker), "client_name": name}  # noqa: SLF001


def ask_for_password() -> None:
    """Ask for the password on every page, and refuse a wrong one whatever characters it holds."""
    Metrics.get = authenticated(Metrics.get)  # Flower leaves it open, and it names workers and tasks
    current_user = BaseHandler.get_current_user

    def checked(handler: Any) -> Any:
        try:
            return current_user(handler)
        except TypeError:  # Flower compares texts, which Python does for ASCII only
            raise HTTPError(401) from None

    BaseHandler.get_current_user = checked


def answer_this_machine_only() -> None:
    """Answer nobody who asks for another host than this machine, and let no other site read an answer.

    Without a password anything that a browser on this machine can be made to ask would be answered: a site
    whose name is made to point here (DNS rebinding), or one that Flower's CORS headers let read.
    """
    find_handler = Flower.find_handler

    def found(application: Any, request: Any, **rest: Any) -> Any:
        if is_loopback(_name_in(request.host)):
            return find_handler(application, request, **rest)
        return application.get_handler_delegate(request, ErrorHandler, {"status_code": 403})

    Flower.find_handler = found
    BaseHandler.set_default_headers = lambda handler: handler.set_header("X-Content-Type-Options", "nosniff")


def _name_in(host: str) -> str:
    """Give the name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
