"""The addresses of Redis over TLS, spelled alike for every client: redis-py, kombu and Celery's results.

Left to themselves they differ: without `ssl_cert_reqs` redis-py asks for certificates, kombu takes any,
and Celery's results refuse to start; and each knows other words for it.
"""

from typing import Final

from prices.errors import SettingsError

_OPTION: Final = "ssl_cert_reqs"
_WORDS: Final = ("required", "optional", "none")


def with_certificates(name: str, url: str) -> str:
    """Give an address, or several with `;` between them, that says whether certificates are asked for.

    They are, unless it says otherwise. Raises SettingsError that names the variable.
    """
    return ";".join(_with_certificates(name, one) for one in url.split(";"))


def _with_certificates(name: str, url: str) -> str:
    scheme = url.partition("://")[0]
    if scheme not in ("redis", "rediss"):
        return url
    base, _mark, query = url.partition("?")
    options = [option for option in query.split("&") if option]
    if scheme == "redis":
        if any(option.startswith("ssl_") for option in options):
            raise SettingsError(f"{name} has options of TLS: it must start with rediss://")
        return url
    values = [option.partition("=")[2] for option in options if option.partition("=")[0] == _OPTION]
    word = (values or ["required"])[-1].lower().removeprefix("cert_")
    if word not in _WORDS:
        raise SettingsError(f"{name} must have {_OPTION}={', '.join(_WORDS[:-1])} or {_WORDS[-1]}")
    others = [option for option in options if option.partition("=")[0] != _OPTION]
    return f"{base}?{'&'.join([*others, f'{_OPTION}={word}'])}"
