"""FHIR servers of peers from memory: each holds resources of one Patient, or fails.

``SimFhirPeers`` implements ``node.exchange.fhir_peer_ports.FhirPeers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from node.errors import NodeError
from node.exchange.fhir_peer_ports import FhirEndpoint, LinkedDocument
from node.exchange.ports import Call, Inbox, PeerEntry, Trace
from node.model import HomeCommunityId, RetrievedDocument
from node.wire.fhir.query import Pair
from tests.sim.network import PURPOSE, entry, hcid, patient

_PERSON = {
    "resourceType": "Patient",
    "name": [{"family": "Canary-Newman", "given": ["Alice"]}],
    "birthDate": "1970-05-01",
    "gender": "female",
}
"""The person of ``tests/sim/network``."""


@dataclass(slots=True)
class SimFhirServer:
    """One server: the Patient's id, what it holds of them, and how it fails.

    ``alone``: its community has nothing else, and finds everybody by ``$match``. ``files``: what
    is behind the links of its documents.
    """

    number: int
    patient: str
    holds: list[dict[str, Any]] = field(default_factory=list)
    fault: NodeError | None = None
    alone: bool = False
    files: dict[str, bytes | NodeError] = field(default_factory=dict)
    asked: list[Sequence[Pair]] = field(default_factory=list)

    @property
    def person(self) -> dict[str, Any]:
        known = patient(self.number)
        identifier = {"system": f"urn:oid:{known.assigning_authority}", "value": known.id}
        return {"resourceType": "Patient", "id": self.patient, "identifier": [identifier]}

    @property
    def base_url(self) -> str:
        return f"https://peer{self.number}.example/fhir"


class SimFhirPeers:
    """Servers by the home community ids of ``tests/sim/network``."""

    def __init__(self, *servers: SimFhirServer) -> None:
        self.servers: dict[HomeCommunityId, SimFhirServer] = {hcid(s.number): s for s in servers}

    def endpoint(self, entry: PeerEntry) -> FhirEndpoint | None:
        server = self.servers.get(entry.home_community_id)
        if server is None:
            return None
        return FhirEndpoint(base_url=server.base_url, responds=frozenset([PURPOSE.code]))

    def communities(self) -> Sequence[PeerEntry]:
        return [entry(s.number, addresses={}) for s in self.servers.values() if s.alone]

    async def search(
        self, entry: PeerEntry, type_: str, pairs: Sequence[Pair], call: Call, trace: Trace
    ) -> bytes:
        server = self.servers[entry.home_community_id]
        server.asked.append(pairs)
        if server.fault is not None:
            raise server.fault
        if type_ == "Patient":
            return _bundle([server.person])
        return _bundle([each for each in server.holds if each["resourceType"] == type_])

    async def follow(self, entry: PeerEntry, link: str, call: Call, trace: Trace) -> bytes:
        raise AssertionError("these servers have one page")

    async def match(self, entry: PeerEntry, parameters: bytes, call: Call, trace: Trace) -> bytes:
        server = self.servers[entry.home_community_id]
        if server.fault is not None:
            raise server.fault
        return _bundle([_PERSON | {"id": server.patient}] if server.alone else [])

    async def fetch(
        self, entry: PeerEntry, document: LinkedDocument, call: Call, trace: Trace, inbox: Inbox
    ) -> RetrievedDocument:
        found = self.servers[entry.home_community_id].files[document.attachment.url or ""]
        if isinstance(found, NodeError):
            raise found
        incoming = await inbox.begin()
        await incoming.write(found)
        token, size, sha256 = await incoming.finish()
        return RetrievedDocument(
            ref=document.ref,
            mime_type=document.attachment.media_type or "",
            size=size,
            sha256=sha256,
            token=token,
        )


def _bundle(resources: Sequence[dict[str, Any]]) -> bytes:
    entries = [{"resource": each, "search": {"mode": "match"}} for each in resources]
    return orjson.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries})
