"""``tefca-node demo``: a small network on this machine, asked over real sockets."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from node.cli.demo_report import (
    DemoReport,
    Progress,
    console_for,
    report_json,
    show_report,
    show_standing,
)
from node.cli.exits import Exit
from node.cli.home import Wiring
from node.cli.output import JsonOption, print_json
from node.demo.asking import ask
from node.demo.given_records import given_plan
from node.demo.ledgers import read_ledgers
from node.demo.misuse import Found, find, pry
from node.demo.network import Network, build_network
from node.demo.people import cast
from node.demo.plan import NetworkPlan, made_plan
from node.demo.processes import Processes
from node.demo.verdict import differences


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    """How a run is to be shown, whether it stays, and how a node asks in this process."""

    as_json: bool
    keep: bool
    wiring: Wiring


def demo(
    context: typer.Context,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End after one run; this is so unless --keep is given.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the nodes running until Ctrl-C, and their files.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of C-CDA or FHIR documents instead of the made-up ones."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Put the network into this folder and leave the files.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=60, help="How long a peer may take to answer discovery.")
    ] = 6,
    as_json: JsonOption = False,
) -> None:
    """Run a small network: one health system asks six others for a patient's records.

    Two hold documents, one does not know the patient, one declines, one is too slow, one is down.
    The exit code is 0 when every leg ended as designed, else 1. Where it is kept, one more tries
    out people at the one that asks, and a detector there finds it.
    """
    if once and keep:
        raise typer.BadParameter("--once ends the network and --keep leaves it: choose one")
    wishes = _Wishes(as_json=as_json, keep=keep, wiring=context.obj.wiring)
    progress = Progress(console_for(stderr=as_json))
    with _terminable(), _folder(home, keep=keep, progress=progress) as folder:
        now = datetime.now(UTC)
        plan = given_plan(cast(), data) if data else made_plan(cast(), now)
        network = build_network(
            plan,
            folder,
            now,
            patience=seconds,
            prying=cast().prying if keep else None,
            done=progress.step,
        )
        _tell_left_out(plan, progress)
        processes = Processes()
        try:
            report = asyncio.run(_run(network, processes, progress, wishes))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None  # told to stop by SIGTERM
        finally:
            processes.kill()
    if report.differences:
        raise typer.Exit(Exit.NOT_GOOD)


async def _run(
    network: Network, processes: Processes, progress: Progress, wishes: _Wishes
) -> DemoReport:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await processes.start(network.served)
        progress.step(f"started {len(network.served)} nodes, each a process of its own")
        asking = network.asking.organisation
        progress.step(
            f"{asking.name} asks {len(network.members)} organisations for the records of "
            f"{network.plan.patient_name or 'one patient'} ({network.plan.purpose})"
        )
        answers = await ask(network, processes.addresses[asking.key]["grpc"], progress.event)
        pairs = await asyncio.to_thread(read_ledgers, network, answers.legs)
        report = DemoReport(
            network=network,
            answers=answers,
            pairs=pairs,
            differences=differences(network, answers, pairs),
        )
        if wishes.as_json:
            print_json(report_json(report))
        else:
            show_report(report, console_for(stderr=False))
        if wishes.keep:
            await _wait(network, processes, wishes, progress)
    finally:
        # a second Ctrl-C while the nodes end in good order ends them at once
        loop.add_signal_handler(signal.SIGINT, processes.kill)
        await processes.stop()
    return report


async def _wait(
    network: Network, processes: Processes, wishes: _Wishes, progress: Progress
) -> None:
    """Until Ctrl-C or SIGTERM, which are the ordinary end here; somebody misuses it meanwhile."""
    found = await _misused(network, wishes, progress)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    show_standing(network, processes.addresses, found, console_for(stderr=wishes.as_json))
    await stop.wait()


async def _misused(network: Network, wishes: _Wishes, progress: Progress) -> Found | None:
    """Let somebody try out people at the asking organisation, and its detectors look."""
    prying = network.prying
    if prying is None:
        return None
    people = cast().pried
    async with wishes.wiring.initiator(prying.home, prying.settings) as initiator:
        ended = await pry(network, initiator, people)
    progress.step(
        f"{prying.organisation.name} asked {network.asking.organisation.name} about {ended}"
        " people who are no patients there"
    )
    return await asyncio.to_thread(find, network, datetime.now(UTC))


@contextmanager
def _folder(home: Path | None, *, keep: bool, progress: Progress) -> Iterator[Path]:
    """The network's folder: a given one stays, a temporary one goes unless it is to be kept."""
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        yield home.absolute()
        progress.step(f"the network's files are in {home.absolute()}")
        return
    folder = Path(tempfile.mkdtemp(prefix="tefca-demo-"))
    try:
        yield folder
    finally:
        if keep:
            progress.step(f"the network's files are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            progress.step(f"stopped all nodes and removed {folder}; --home DIR keeps the files")


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM and a closed terminal end the program as Ctrl-C does: in good order."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_left_out(plan: NetworkPlan, progress: Progress) -> None:
    if plan.left_out:
        progress.step(
            f"{len(plan.left_out)} files are no readable documents: {', '.join(plan.left_out[:5])}"
        )
