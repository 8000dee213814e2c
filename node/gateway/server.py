"""Serving an ASGI application on a socket, inside the current event loop.

Example::

    async with serving(app, "127.0.0.1", 0, context) as (host, port):
        ...

uvicorn's own ``Server`` owns the process (signals, exit codes, log files); a node runs several
listeners beside gRPC and the sealer, so only uvicorn's protocol is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from functools import partial

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from node.errors import NodeError, OurFault
from node.gateway.door import Door, Handshake, listening_sockets
from node.gateway.limits import ConnectionLimits
from node.gateway.protocol import GatewayProtocol
from node.gateway.turned_away import Throttle, TurnAway
from node.ops.metrics import Metrics

_BACKLOG = 1024
_DEFAULT = ConnectionLimits()


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    host: str,
    port: int,
    ssl_context: ssl.SSLContext | None,
    *,
    limits: ConnectionLimits = _DEFAULT,
    reuse_port: bool = False,
    metrics: Metrics | None = None,
    turn_away: TurnAway = lambda _throttle, _key: None,
) -> AsyncIterator[tuple[str, int]]:
    """Serve until the block ends; yields the bound (host, port).

    Args:
        app: a Starlette (or other ASGI) application; its lifespan is run.
        host: the address to bind.
        port: the port, 0 for a free one.
        ssl_context: the TLS settings, or ``None`` for plain HTTP (loopback metrics only).
        limits: what a connection may cost.
        reuse_port: let several processes share the port.
        metrics: where open connections are reported.
        turn_away: counts what is turned away at a limit.

    When the block ends, no new connection is taken, running requests get ``limits.stop`` seconds,
    then their connections are cut.

    Raises:
        OurFault: ``listen-failed`` when the address cannot be bound, ``start-failed`` when the
            application's lifespan refuses to start.
    """
    config = Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="auto",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=None,
        timeout_keep_alive=max(1, round(limits.idle)),
    )
    config.load()
    lifespan = config.lifespan_class(config)
    await lifespan.startup()
    if lifespan.should_exit:
        raise OurFault("start-failed", "The application did not start; see the log before this.")
    state = ServerState()
    loop = asyncio.get_running_loop()
    make: Callable[[], asyncio.Protocol] = partial(
        GatewayProtocol, config, state, lifespan.state, limits=limits, turn_away=turn_away
    )
    try:
        sockets = listening_sockets(host, port, backlog=_BACKLOG, reuse_port=reuse_port)
    except OSError as error:
        await lifespan.shutdown()
        raise _cannot_listen(host, port, error) from error
    bound = sockets[0].getsockname()
    handshake = Handshake(
        context=ssl_context,
        seconds=limits.handshake,
        most=limits.handshakes,
        cut=lambda: turn_away(Throttle.CONNECTIONS, None),
    )
    doors = [Door(each, make, handshake) for each in sockets]
    clock = loop.create_task(_keep_date(state))
    try:
        if metrics is not None:
            metrics.watch_connections(f"{bound[0]}:{bound[1]}", lambda: len(state.connections))
        yield str(bound[0]), int(bound[1])
    finally:
        for door in doors:
            await door.close()
        await _drain(state, limits.stop)
        clock.cancel()
        await lifespan.shutdown()


def _cannot_listen(host: str, port: int, error: OSError) -> NodeError:
    return OurFault(
        "listen-failed",
        f"The node cannot listen on {host} port {port}.",
        detail=error.strerror or type(error).__name__,
    )


async def _keep_date(state: ServerState) -> None:
    """The Date header, made once a second (RFC 9110 6.6.1)."""
    while True:
        state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        await asyncio.sleep(1)


async def _drain(state: ServerState, seconds: float) -> None:
    """Let running requests end, then cut what is left."""
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=seconds)
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=seconds)
    # Answers still in a write buffer get the chance to leave before the rest is cut.
    for _ in range(20):
        if not state.connections:
            return
        await asyncio.sleep(0.01)
    for connection in list(state.connections):
        connection.transport.abort()
