"""``tefca-node query fhir``: one FHIR question to the FHIR servers of many peers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.asker import Asker, homes, read_asker, read_person, taking
from node.cli.fhir_events import FhirGathered, show_fhir_progress, show_fhir_summary
from node.cli.output import note
from node.cli.remote import operators_channel
from node.errors import SettingsError
from node.exchange.fhir_question import parse_question
from node.exchange.fhir_whole import WholeEvent, WholeQuestion, ask_whole
from node.exchange.network_ports import KnownAt
from node.model import Demographics, HomeCommunityId
from node.rpc.client import RemoteBroker
from node.wire.fhir.provenance import Party
from node.wire.fhir.references import local_reference
from node.wire.identifiers import home_community_id, parse_cx


def read_any_person(**options: Any) -> Demographics | None:
    """The person, where the options name one."""
    return read_person(**options) if any(options.values()) else None


read_any_person.__signature__ = inspect.signature(read_person, eval_str=True)  # type: ignore[attr-defined]


@taking(asker=read_asker, person=read_any_person)
def fhir(
    asker: Asker,
    person: Demographics | None,
    question: Annotated[
        str,
        typer.Argument(metavar="QUESTION", help="Such as 'Observation?category=laboratory'."),
    ],
    known: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            help="HCID=id^^^&oid&ISO as `query patient` gave it, or HCID=Patient/ID; repeatable.",
        ),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", help="Ask only this home community id; repeatable."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="File for the merged Bundle; else it is printed.")
    ] = None,
) -> None:
    """Ask the FHIR servers of peers about a person, and merge what they answer."""
    places = [_known(text) for text in known or ()]
    if person is None and not places:
        raise SettingsError(
            "person-incomplete", "Name the person (--family, --birth-date …) or where (--at)."
        )
    asked = _Asked(asker, question, person, tuple(places), tuple(homes(peer)))
    gathered = asyncio.run(_gather(asker, asked))
    saved = None
    if save is not None:
        save.write_bytes(gathered.bundle)
        saved = save
    show_fhir_summary(gathered, saved, as_json=asker.as_json)
    raise typer.Exit(gathered.exit)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question as it was typed."""

    asker: Asker
    text: str
    person: Demographics | None
    known: tuple[KnownAt, ...]
    targets: tuple[HomeCommunityId, ...]

    def whole(self, now: datetime) -> WholeQuestion:
        """The question. Raises ``FhirProblem``."""
        question = parse_question(self.text, now=now)
        return WholeQuestion(
            person=self.person, known=self.known, targets=self.targets, question=question
        )


async def _gather(asker: Asker, asked: _Asked) -> FhirGathered:
    gathered = FhirGathered()
    async with _events(asker, asked) as opened, aclosing(opened) as events:
        async for event in events:
            gathered.take(event)
            if not asker.as_json:
                show_fhir_progress(event)
    return gathered


@asynccontextmanager
async def _events(asker: Asker, asked: _Asked) -> AsyncIterator[AsyncGenerator[WholeEvent, None]]:
    """What happens, in this process or at a running node."""
    home, settings = asker.home, asker.settings
    if asker.node is not None:
        whole = asked.whole(datetime.now(UTC))
        async with operators_channel(home, settings, asker.node) as channel:
            broker = RemoteBroker(channel, most=_MOST)
            yield broker.ask_whole(asker.principal, whole, asked.text, seconds=asker.seconds)
        return
    async with asker.wiring.network(home, settings) as network:
        decision = network.broker.may_ask(asker.principal)
        if not decision.permitted:
            note(f"Every question is declined by our own policy: {decision.sentence}")
        yield ask_whole(
            network.broker,
            asker.principal,
            asked.whole(network.clock.now()),
            own=Party(home_community_id=settings.node.home_community_id, name=settings.node.name),
            clock=network.clock,
            seconds=asker.seconds,
        )


_MOST = 512 * 1024 * 1024
"""Bytes of a Bundle that a running node may send."""


def _known(text: str) -> KnownAt:
    """A community and what it calls the person.

    Raises:
        SettingsError: ``person-incomplete``.
        WireError: ``identifier-invalid``.
    """
    hcid, equals, name = text.partition("=")
    if not equals:
        raise SettingsError(
            "person-incomplete", "--at takes HCID=id^^^&oid&ISO or HCID=Patient/ID."
        )
    home = home_community_id(hcid)
    local = local_reference(name)
    if local is not None and local[0] == "Patient":
        return KnownAt(home_community_id=home, fhir_id=local[1])
    return KnownAt(home_community_id=home, patient_id=parse_cx(name))
