"""``tefca-node deliver``: push documents to other communities (ITI-80, XCDR)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from node.cli.asker import Asker, read_asker, read_named, taking
from node.cli.events import Gathered, show_progress, show_summary
from node.cli.output import note
from node.clock import SystemClock
from node.errors import SettingsError
from node.exchange.deliver import Delivery
from node.exchange.initiate import KnownPatient
from node.model import Demographics, HomeCommunityId
from node.records.entries import Community
from node.records.outgoing import Outgoing, delivery_of, read_outgoing
from node.settings import Settings
from node.wire.identifiers import home_community_id, parse_cx

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
    if asker.node is not None:
        raise SettingsError(
            "delivery-target", "Documents are sent from the node home, not through --node."
        )
    targets = [_target(text) for text in to]
    documents = _read(files, person, asker.settings, type_=type_, title=title)
    delivery = delivery_of(
        documents,
        community=_community(asker.settings),
        principal=asker.principal,
        now=SystemClock().now(),
        new_id=SystemClock().new_id,
    )
    gathered = asyncio.run(_send(asker, delivery, targets))
    show_summary(gathered, as_json=asker.as_json)
    raise typer.Exit(gathered.exit)


async def _send(
    asker: Asker, delivery: Delivery, targets: list[KnownPatient | HomeCommunityId]
) -> Gathered:
    gathered = Gathered()
    async with asker.wiring.initiator(asker.home, asker.settings) as initiator:
        decision = initiator.may_ask(asker.principal, delivers=True)
        if not decision.permitted:
            note(f"Nothing is sent, by our own policy: {decision.sentence}")
        events = initiator.deliver(asker.principal, delivery, targets, seconds=asker.seconds)
        async with aclosing(events):
            async for event in events:
                gathered.take(event)
                if not asker.as_json:
                    show_progress(event)
    return gathered


def _target(text: str) -> KnownPatient | HomeCommunityId:
    hcid, equals, cx = text.partition("=")
    if not hcid or (equals and not cx):
        raise SettingsError("delivery-target", "--to takes HCID or HCID=id^^^&oid&ISO.")
    home = home_community_id(hcid)
    return KnownPatient(home_community_id=home, patient_id=parse_cx(cx)) if equals else home


def _read(
    files: list[Path], person: Demographics | None, settings: Settings, *, type_: str, title: str
) -> list[Outgoing]:
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
            read_outgoing(
                file.read_bytes(),
                mime_type=_KINDS.get(file.suffix.lower()),
                person=person,
                type_=type_ or None,
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
