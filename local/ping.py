"""Asking whether Redis and the web process answer yet; needs neither's client library."""

import http.client
import socket

from local.ports import HOST


def redis_answers(port: int, password: str) -> bool:
    """Tell whether the server there knows our password and has read its data."""
    request = _request("AUTH", password) + _request("PING")
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(request)
            reply = b""
            while reply.count(b"\r\n") < 2 and (part := connection.recv(1024)):
                reply += part
    except OSError:
        return False
    return reply == b"+OK\r\n+PONG\r\n"


def _request(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def web_answers(port: int) -> bool:
    """Tell whether the web process answers `/healthz` within half a second."""
    connection = http.client.HTTPConnection(HOST, port, timeout=0.5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
