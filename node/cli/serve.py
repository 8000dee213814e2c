"""``tefca-node serve``: run the node until it is told to stop."""

from __future__ import annotations

import asyncio
import sys

import orjson
import typer
import uvloop

from node.cli.home import opened
from node.cli.output import JsonOption, say


def serve(context: typer.Context, as_json: JsonOption = False) -> None:
    """Run the node: gateway, gRPC service, metrics. Ctrl-C or SIGTERM ends it in good order."""
    home, settings, wiring = opened(context)

    def ready(bound: dict[str, str]) -> None:
        if as_json:
            sys.stdout.buffer.write(orjson.dumps(bound) + b"\n")
        else:
            say(f"{settings.node.name} is up ({settings.node.home_community_id}).")
            for name, address in bound.items():
                say(f"  {name:5} {address}")
            say("Stop it with Ctrl-C or SIGTERM.")
        sys.stdout.flush()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(wiring.serve(home, settings, ready)))


async def _serve(running: object) -> None:
    await running  # type: ignore[misc]  # Wiring.serve gives an awaitable
