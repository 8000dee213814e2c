"""``tefca-node deliver``: push documents to other communities (ITI-80, XCDR)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from node.cli.asker import Asker, read_asker, read_named, taking
from node.cli.events import Gathered, show_progress, show_summary
from node.cli.output import note
from node.cli.remote import operators_channel
from node.clock import SystemClock
from node.errors import SettingsError
from node.exchange.deliver import Delivery
from node.exchange.initiate import Event, KnownPatient
from node.model import Demographics, HomeCommunityId
from node.peers.inbox import FileInbox
from node.records.entries import Community
from node.records.outgoing import delivery_of, read_outgoing
from node.rpc.client import RemoteInitiator
from node.rpc.deliveries import SentDocument
from node.settings import Settings
from node.wire.identifiers import home_community_id, parse_cx

Targets = list[KnownPatient | HomeCommunityId]

_KINDS = {
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".rtf": "application/rtf",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}


@taking(asker=read_asker, person=read_named)
def deliver(
    asker: Asker,
    person: Demographics | None,
    files: Annotated[list[Path], typer.Argument(help="The documents, all of one person.")],
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            help="Home community id, or HCID=id^^^&oid&ISO as `query patient` gave it; repeatable.",
        ),
    ],
    type_: Annotated[
        str, typer.Option("--type", help="LOINC code of documents that are no C-CDA.")
    ] = "",
    title: Annotated[str, typer.Option(help="Title of documents that are no C-CDA.")] = "",
) -> None:
    """Send documents of a person to communities, which say if they took them (ITI-80).

    A C-CDA names its person itself; of others, name the person with the options and --id.
    """
    targets = [_target(text) for text in to]
    documents = _read(files, asker.settings, type_=type_, title=title)
    gathered = asyncio.run(_send(asker, documents, person, targets))
    show_summary(gathered, as_json=asker.as_json)
    raise typer.Exit(gathered.exit)


async def _send(
    asker: Asker, documents: list[SentDocument], person: Demographics | None, targets: Targets
) -> Gathered:
    gathered = Gathered()
    async with _events(asker, documents, person, targets) as events:
        async for event in events:
            gathered.take(event)
            if not asker.as_json:
                show_progress(event)
    return gathered


@asynccontextmanager
async def _events(
    asker: Asker, documents: list[SentDocument], person: Demographics | None, targets: Targets
) -> AsyncIterator[AsyncGenerator[Event, None]]:
    """What happens, in this process or through a running node."""
    home, settings, seconds = asker.home, asker.settings, asker.seconds
    if asker.node is not None:
        inbox = FileInbox(home.inbox / "spool", home.inbox / "documents")
        async with operators_channel(home, settings, asker.node) as channel:
            remote = RemoteInitiator(channel, inbox)
            sent = remote.deliver(asker.principal, documents, person, targets, seconds=seconds)
            async with aclosing(sent) as events:
                yield events
        return
    delivery = _delivery(asker, documents, person)
    async with asker.wiring.initiator(home, settings) as initiator:
        decision = initiator.may_ask(asker.principal, delivers=True)
        if not decision.permitted:
            note(f"Nothing is sent, by our own policy: {decision.sentence}")
        own = initiator.deliver(asker.principal, delivery, targets, seconds=seconds)
        async with aclosing(own) as events:
            yield events


def _delivery(asker: Asker, documents: list[SentDocument], person: Demographics | None) -> Delivery:
    clock = SystemClock()
    return delivery_of(
        [
            read_outgoing(
                each.content,
                mime_type=each.mime_type,
                person=person,
                type_=each.type_code,
                title=each.title,
            )
            for each in documents
        ],
        community=_community(asker.settings),
        principal=asker.principal,
        now=clock.now(),
        new_id=clock.new_id,
    )


def _target(text: str) -> KnownPatient | HomeCommunityId:
    hcid, equals, cx = text.partition("=")
    if not hcid or (equals and not cx):
        raise SettingsError("delivery-target", "--to takes HCID or HCID=id^^^&oid&ISO.")
    home = home_community_id(hcid)
    return KnownPatient(home_community_id=home, patient_id=parse_cx(cx)) if equals else home


def _read(files: list[Path], settings: Settings, *, type_: str, title: str) -> list[SentDocument]:
    left = settings.limits.delivery_bytes
    documents = []
    for file in files:
        left -= file.stat().st_size
        if left < 0:
            raise SettingsError(
                "delivery-too-large",
                f"The documents are larger than {settings.limits.delivery_bytes} bytes.",
            )
        documents.append(
            SentDocument(
                content=file.read_bytes(),
                mime_type=_KINDS.get(file.suffix.lower()),
                type_code=type_ or None,
                title=title or None,
            )
        )
    return documents


def _community(settings: Settings) -> Community:
    node = settings.node
    return Community(
        home_community_id=HomeCommunityId(node.home_community_id),
        repository_unique_id=node.repository_unique_id,
        assigning_authority=node.assigning_authority,
    )
