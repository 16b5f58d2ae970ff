"""Who may talk to the viewer: its own page, and nobody else.

viser checks neither where a connection comes from nor by which name the machine was asked for, so that a page
of somebody else, open in the same browser, could steer it; and any visitor could have a public tunnel opened.
Both are closed here, at the one place where viser's server hands every request over.
"""

import contextlib
import errno
import inspect
import logging
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from stylehead.errors import MissingError, UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FREE = "stylehead view --port 0 takes a free one"
_INSTALL = 'pip install "stylehead[viewer]"'


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    return host in LOOPBACK or host.startswith("127.")


def require_viser() -> Any:
    """Import viser; it prints to stdout through rich, which the caller may point elsewhere.

    Raises:
        MissingError: The extra is not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise MissingError(f"The viewer needs the package viser ({error}).", _INSTALL) from error
    return viser


def check_port(host: str, port: int) -> None:
    """Say no where a port cannot be had; viser would take the next one without a word.

    Raises:
        UsageError: It is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UsageError(f"Port {port} is taken.", _FREE) from error
            raise UsageError(f"`--host` (={host}) and `--port` (={port}) cannot be had: {error}.") from error


def refusal(headers: Any, host: str) -> str | None:
    """Say why a request is turned away, or return None when it may pass.

    Args:
        headers: Of the request; `Host`, `Origin` and `Upgrade` are looked at.
        host: Address that the viewer listens on.
    """
    asked, origin = headers.get("Host", ""), headers.get("Origin")
    name = urlsplit(f"//{asked}").hostname or ""
    if is_loopback(host) and not is_loopback(name):
        return "This viewer answers to localhost alone."
    steers = headers.get("Upgrade", "").lower() == "websocket"
    if origin is None:
        return "Only the viewer's own page may connect." if steers else None
    return None if urlsplit(origin).netloc == asked else "Only the viewer's own page may connect."


@contextlib.contextmanager
def guarded(host: str) -> Iterator[None]:
    """Have every server that is started meanwhile turn strangers away.

    Args:
        host: Address that it will listen on.

    Raises:
        MissingError: This viser hands requests over in another way, so that they could not be checked.
    """
    from websockets.asyncio import server
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    sockets: Any = server  # its function is exchanged, which types do not allow
    plain = sockets.serve

    def serve(*arguments: Any, **options: Any) -> Any:
        answer = options.get("process_request")
        if answer is None:
            raise MissingError("This version of viser cannot be guarded.", _INSTALL)

        async def checked(connection: Any, request: Any) -> Any:
            why = refusal(request.headers, host)
            if why is not None:
                headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Connection": "close"})
                return Response(HTTPStatus.FORBIDDEN, "Forbidden", headers, why.encode())
            found = answer(connection, request)
            return await found if inspect.isawaitable(found) else found

        return plain(*arguments, **{**options, "process_request": checked})

    sockets.serve = serve
    try:
        yield
    finally:
        sockets.serve = plain


def open_server(host: str, port: int) -> Any:
    """Start a guarded viser server; returns it.

    Args:
        host: Address to listen on.
        port: Its port; 0 takes a free one.

    Raises:
        MissingError: viser is not installed, or cannot be guarded.
        UsageError: The port cannot be had.
    """
    viser = require_viser()
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # browsers open connections in reserve
    if port:
        check_port(host, port)
    with guarded(host):
        server = viser.ViserServer(host=host, port=port, verbose=False, label="stylehead")
    if port and server.get_port() != port:
        server.stop()
        raise UsageError(f"Port {port} is taken.", _FREE)
    server.request_share_url = _no_tunnel
    return server


def _no_tunnel(*_: Any, **__: Any) -> None:
    """Take the place of what opens a public address at a company's server."""
