"""Addresses of Redis over TLS: certificates are asked for unless an address says otherwise."""

import pytest

from prices.errors import SettingsError
from prices.runtime.addresses import with_certificates
from prices.runtime.settings import Settings


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("rediss://h", "rediss://h?ssl_cert_reqs=required"),
        ("rediss://:p@h:6380/1?", "rediss://:p@h:6380/1?ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_ca_certs=%2Fca", "rediss://h/0?ssl_ca_certs=%2Fca&ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
        ("rediss://h/0?ssl_cert_reqs=CERT_NONE&a=b", "rediss://h/0?a=b&ssl_cert_reqs=none"),
        ("rediss://h?ssl_cert_reqs=CERT_OPTIONAL", "rediss://h?ssl_cert_reqs=optional"),
        (
            "rediss://a;rediss://b?ssl_cert_reqs=none",
            "rediss://a?ssl_cert_reqs=required;rediss://b?ssl_cert_reqs=none",
        ),
        ("redis://h/0", "redis://h/0"),
        ("redis://h/0?socket_timeout=1", "redis://h/0?socket_timeout=1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("amqps://u:p@h//", "amqps://u:p@h//"),
    ],
)
def test_an_address_says_whether_certificates_are_asked_for(given: str, meant: str) -> None:
    assert with_certificates("REDIS_URL", given) == meant
    assert with_certificates("REDIS_URL", meant) == meant


@pytest.mark.parametrize(
    "given",
    [
        "rediss://:hush@h?ssl_cert_reqs=never",
        "rediss://:hush@h?ssl_cert_reqs=",
        "redis://:hush@h?ssl_cert_reqs=none",
    ],
)
@pytest.mark.parametrize("name", ["REDIS_URL", "CELERY_BROKER_URL"])
def test_an_address_that_no_client_could_use_is_refused_without_its_secrets(given: str, name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} ") as refused:
        Settings.from_env({name: given})
    assert "hush" not in str(refused.value)


def test_the_broker_is_the_same_redis_under_the_same_terms() -> None:
    read = Settings.from_env({"REDIS_URL": "rediss://h"})
    assert read.redis_url == read.broker_url == "rediss://h?ssl_cert_reqs=required"
