"""The demo's one question: the chart of a person, asked through the running node over gRPC."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.demo.network import BuiltNode, Network
from node.exchange.initiate import Event, LegStarted
from node.exchange.merge import FoldedDocument, Source, fold
from node.exchange.questions import DocumentSearch
from node.identity import passphrase
from node.model import (
    Code,
    DocumentEntry,
    HomeCommunityId,
    Leg,
    PatientQuery,
    Principal,
    QueryAnswer,
    RetrieveAnswer,
)
from node.peers.inbox import FileInbox
from node.policy.purposes import purpose_register
from node.rpc.client import RemoteInitiator, channel_to
from node.setup import OPERATOR
from trust.keys import load_key, plain_pem

SECONDS = 180.0
_JSON_ENDING = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A document, folded over its sources, and the file it was saved to."""

    document: FoldedDocument
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that came of the question, in the order in which it came."""

    legs: tuple[Leg, ...]
    saved: tuple[Saved, ...]


async def ask(network: Network, address: str, told: Callable[[Event], None]) -> Answers:
    """Ask for the patient's chart; ``told`` gets every event as it comes.

    Raises:
        NodeError: when the asking node itself cannot be asked.
    """
    asking = network.asking
    shown = network.folder / "documents"
    inbox = FileInbox(network.folder / "incoming", shown)
    keys = asking.home.keys
    legs: list[Leg] = []
    entries: dict[tuple[str, str], DocumentEntry] = {}
    sources: list[Source] = []
    async with channel_to(
        address,
        key=plain_pem(load_key(keys / f"{OPERATOR}.key", passphrase=passphrase(asking.settings))),
        chain=(keys / f"{OPERATOR}.pem").read_bytes(),
        anchors=network.ca.read_bytes(),
        host_name=asking.settings.grpc.host_name,
    ) as channel:
        remote = RemoteInitiator(channel, inbox)
        events = remote.find_chart(
            principal_of(network.asking, network.plan.purpose),
            PatientQuery(demographics=network.plan.demographics),
            DocumentSearch(since=network.plan.since),
            inbox,
            seconds=SECONDS,
        )
        async for event in events:
            told(event)
            if isinstance(event, LegStarted):
                continue
            leg, answer = event.result.leg, event.result.answer
            legs.append(leg)
            if isinstance(answer, QueryAnswer):
                entries.update(((e.repository_unique_id, e.unique_id), e) for e in answer.documents)
            elif isinstance(answer, RetrieveAnswer):
                sources.extend(_sources(leg, answer, entries))
    return Answers(legs=tuple(legs), saved=await _save(fold(sources), sources, inbox))


def _sources(
    leg: Leg, answer: RetrieveAnswer, entries: dict[tuple[str, str], DocumentEntry]
) -> list[Source]:
    return [
        Source(
            peer=leg.peer,
            document=document,
            entry=entries.get((document.ref.repository_unique_id, document.ref.document_unique_id)),
        )
        for document in answer.documents
    ]


async def _save(
    documents: Sequence[FoldedDocument], sources: Sequence[Source], inbox: FileInbox
) -> tuple[Saved, ...]:
    saved = []
    for document in documents:
        name = f"{document.sha256[:16]}{_ending(document.mime_type)}"
        path = await inbox.release(document.token, name)
        saved.append(Saved(document=document, path=Path(path)))
    # the same bytes from a second source need not be kept twice
    for source in sources:
        await inbox.discard(source.document.token)
    return tuple(saved)


def _ending(mime_type: str) -> str:
    if mime_type.endswith(_JSON_ENDING):
        return ".json"
    return mimetypes.guess_extension(mime_type) or ".bin"


def principal_of(node: BuiltNode, purpose: str) -> Principal:
    """The system user of a node, who asks for a purpose."""
    settings = node.settings
    own, register = settings.principal, purpose_register()
    return Principal(
        subject_id=own.subject_id,
        user_id=own.user_id,
        organization=settings.node.name,
        organization_id=settings.node.organization_id,
        home_community_id=HomeCommunityId(settings.node.home_community_id),
        role=Code(code=own.role, scheme=own.role_system, display=own.role_display),
        purpose=register.purposes[purpose].code,
    )
