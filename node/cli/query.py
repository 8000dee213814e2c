"""``tefca-node query``: ask the network, in this process or through a running node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from node.cli.asker import Asker, homes, read_asker, read_person, taking
from node.cli.events import Gathered, show_progress, show_summary
from node.cli.output import note
from node.cli.query_fhir import fhir
from node.cli.remote import operators_channel
from node.errors import SettingsError
from node.exchange.initiate import Event, Initiator, KnownPatient
from node.exchange.ports import Inbox
from node.exchange.questions import DocumentSearch
from node.model import Demographics, DocumentRef, PatientQuery
from node.peers.inbox import FileInbox
from node.rpc.client import RemoteInitiator
from node.wire.identifiers import home_community_id, parse_cx

app = typer.Typer(help="Ask the network about a patient.", no_args_is_help=True)

PeerOption = Annotated[
    list[str] | None, typer.Option("--peer", help="Ask only this home community id; repeatable.")
]
Since = Annotated[str | None, typer.Option(help="Care at or after, YYYYMMDD.")]
Until = Annotated[str | None, typer.Option(help="Care before, YYYYMMDD.")]
Save = Annotated[
    Path | None, typer.Option(help="Folder for the documents; default: inbox/documents.")
]
_TRIPLE = 3


@app.command()
@taking(asker=read_asker, person=read_person)
def patient(asker: Asker, person: Demographics, peer: PeerOption = None) -> None:
    """Ask who knows this person (ITI-55)."""
    targets = homes(peer)
    _ask(
        asker,
        lambda asking: asking.initiator.find_patients(
            asker.principal,
            PatientQuery(demographics=person),
            targets=targets,
            seconds=asker.seconds,
        ),
    )


@app.command()
@taking(asker=read_asker)
def documents(
    asker: Asker,
    known: Annotated[
        list[str],
        typer.Option("--at", help="HCID=id^^^&oid&ISO as `query patient` gave it; repeatable."),
    ],
    since: Since = None,
    until: Until = None,
) -> None:
    """List the documents of a person known at certain communities (ITI-38)."""
    patients = []
    for text in known:
        hcid, equals, cx = text.partition("=")
        if not equals:
            raise SettingsError("person-incomplete", "--at takes HCID=id^^^&oid&ISO.")
        patients.append(
            KnownPatient(home_community_id=home_community_id(hcid), patient_id=parse_cx(cx))
        )
    search = DocumentSearch(since=since, until=until)
    _ask(
        asker,
        lambda asking: asking.initiator.find_documents(
            asker.principal, patients, search, seconds=asker.seconds
        ),
    )


@app.command()
@taking(asker=read_asker)
def retrieve(
    asker: Asker,
    refs: Annotated[
        list[str],
        typer.Argument(help="HCID/REPOSITORY/DOCUMENT as `query documents` gave them."),
    ],
    save: Save = None,
) -> None:
    """Fetch documents by their ids (ITI-39)."""
    wanted = []
    for text in refs:
        parts = text.split("/", _TRIPLE - 1)
        if len(parts) != _TRIPLE:
            raise SettingsError("person-incomplete", "A document is HCID/REPOSITORY/DOCUMENT.")
        wanted.append(
            DocumentRef(
                home_community_id=home_community_id(parts[0]),
                repository_unique_id=parts[1],
                document_unique_id=parts[2],
            )
        )
    _ask(
        asker,
        lambda asking: asking.initiator.retrieve(
            asker.principal, wanted, asking.inbox, seconds=asker.seconds
        ),
        save=save,
    )


@app.command()
@taking(asker=read_asker, person=read_person)
def chart(
    asker: Asker,
    person: Demographics,
    peer: PeerOption = None,
    since: Since = None,
    until: Until = None,
    list_only: Annotated[bool, typer.Option("--list", help="List, do not fetch.")] = False,
    save: Save = None,
) -> None:
    """Discover the person everywhere, list the documents and fetch them."""
    targets = homes(peer)
    search = DocumentSearch(since=since, until=until)
    _ask(
        asker,
        lambda asking: asking.initiator.find_chart(
            asker.principal,
            PatientQuery(demographics=person),
            search,
            None if list_only else asking.inbox,
            targets=targets,
            seconds=asker.seconds,
        ),
        save=save,
    )


app.command()(fhir)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    initiator: Initiator | RemoteInitiator
    inbox: Inbox


Question = Callable[[_Asking], AsyncGenerator[Event, None]]


def _ask(asker: Asker, question: Question, *, save: Path | None = None) -> None:
    gathered = asyncio.run(_gather(asker, question, save))
    show_summary(gathered, as_json=asker.as_json)
    raise typer.Exit(gathered.exit)


async def _gather(asker: Asker, question: Question, save: Path | None) -> Gathered:
    gathered = Gathered()
    async with _opened(asker, save) as asking:
        async with aclosing(question(asking)) as events:
            async for event in events:
                gathered.take(event)
                if not asker.as_json:
                    show_progress(event)
        for number, document in enumerate(gathered.folded, start=1):
            # the name is ours: a peer's title may hold a patient's name
            name = f"document-{number:03d}{_suffix(document.mime_type)}"
            gathered.paths[document.sha256] = await asking.inbox.release(document.token, name)
            for source in document.sources[1:]:
                await asking.inbox.discard(source.document.token)
    return gathered


def _suffix(mime_type: str) -> str:
    known = {"application/pdf": ".pdf", "application/fhir+json": ".json", "text/plain": ".txt"}
    return known.get(mime_type, ".xml" if mime_type.endswith("xml") else "")


@asynccontextmanager
async def _opened(asker: Asker, save: Path | None) -> AsyncIterator[_Asking]:
    home, settings = asker.home, asker.settings
    shown = save or home.inbox / "documents"
    inbox = FileInbox(home.inbox / "spool", shown, max_bytes=settings.limits.document_bytes)
    if asker.node is None:
        async with asker.wiring.initiator(home, settings) as initiator:
            decision = initiator.may_ask(asker.principal)
            if not decision.permitted:
                note(f"Every question is declined by our own policy: {decision.sentence}")
            yield _Asking(initiator=initiator, inbox=inbox)
        return
    async with operators_channel(home, settings, asker.node) as channel:
        yield _Asking(initiator=RemoteInitiator(channel, inbox), inbox=inbox)
