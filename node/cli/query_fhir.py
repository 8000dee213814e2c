"""``tefca-node query fhir``: one FHIR question to the FHIR servers of many peers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.asker import Asker, homes, read_asker, read_person, taking
from node.cli.fhir_events import FhirGathered, show_fhir_progress, show_fhir_summary
from node.cli.output import note
from node.errors import SettingsError
from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_events import FhirEvent
from node.exchange.fhir_merge import merge
from node.exchange.fhir_merged_writer import write_merged
from node.exchange.fhir_question import FhirQuestion, parse_question
from node.exchange.network_ports import KnownAt
from node.model import Demographics, HomeCommunityId
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
    if asker.node is not None:
        raise SettingsError(
            "option-unsupported", "A FHIR question is asked in this process, without --node."
        )
    asking = _Asking(asker, person, places, homes(peer), question)
    gathered = asyncio.run(asking.gather())
    saved = None
    if save is not None:
        save.write_bytes(gathered.bundle)
        saved = save
    show_fhir_summary(gathered, saved, as_json=asker.as_json)
    raise typer.Exit(gathered.exit)


class _Asking:
    """One question and its answers."""

    def __init__(
        self,
        asker: Asker,
        person: Demographics | None,
        known: list[KnownAt],
        targets: list[HomeCommunityId],
        text: str,
    ) -> None:
        self._asker = asker
        self._person = person
        self._known = known
        self._targets = targets
        self._text = text

    async def gather(self) -> FhirGathered:
        asker = self._asker
        gathered = FhirGathered()
        async with asker.wiring.network(asker.home, asker.settings) as network:
            clock = network.clock
            question = parse_question(self._text, now=clock.now())
            decision = network.broker.may_ask(asker.principal)
            if not decision.permitted:
                note(f"Every question is declined by our own policy: {decision.sentence}")
            async with aclosing(self._events(network.broker, question)) as events:
                async for event in events:
                    gathered.take(event)
                    if not asker.as_json:
                        show_fhir_progress(event)
            gathered.merged = merge(gathered.answers)
            gathered.bundle = write_merged(
                gathered.merged,
                own=Party(
                    home_community_id=asker.settings.node.home_community_id,
                    name=asker.settings.node.name,
                ),
                now=clock.now(),
                new_id=clock.new_id,
            )
        return gathered

    def _events(
        self, broker: FhirBroker, question: FhirQuestion
    ) -> AsyncGenerator[FhirEvent, None]:
        asker = self._asker
        if self._known or self._person is None:
            return broker.search(
                asker.principal,
                self._known,
                question,
                demographics=self._person,
                seconds=asker.seconds,
            )
        return broker.ask(
            asker.principal,
            self._person,
            question,
            targets=self._targets,
            seconds=asker.seconds,
        )


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
