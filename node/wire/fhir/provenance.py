"""The Provenance of what one peer gave in one exchange (US Core Provenance, PDex; facts 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from node.wire.fhir.bundle_writer import fhir_instant

_PROFILE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-provenance"
_TRANSMITTER: Final = {
    "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type",
    "code": "transmitter",
}
_AUTHOR: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
    "code": "author",
}
_URIS: Final = "urn:ietf:rfc:3986"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An organisation by its home community id (``urn:oid:…``) and name."""

    home_community_id: str
    name: str


def write_provenance(
    *,
    id_: str,
    targets: Sequence[str],
    origin: Party,
    transmitter: Party,
    messages: Sequence[str],
    recorded: datetime,
) -> bytes:
    """A Provenance: who gave the targets, who passed them on, in answer to which messages.

    Args:
        id_: a UUID; the resource has no address.
        targets: addresses of the resources; at least one.
        origin: whose resources they are.
        transmitter: us.
        messages: ``urn:uuid:`` of our requests.
        recorded: when.
    """
    made: dict[str, Any] = {
        "resourceType": "Provenance",
        "id": id_,
        "meta": {"profile": [_PROFILE]},
        "target": [{"reference": target} for target in targets],
        "recorded": fhir_instant(recorded),
        "agent": [_agent(_AUTHOR, origin), _agent(_TRANSMITTER, transmitter)],
    }
    if messages:
        made["entity"] = [
            {"role": "source", "what": {"identifier": {"system": _URIS, "value": message}}}
            for message in messages
        ]
    return orjson.dumps(made)


def _agent(role: dict[str, str], party: Party) -> dict[str, Any]:
    return {
        "type": {"coding": [role]},
        "who": {
            "identifier": {"system": _URIS, "value": party.home_community_id},
            "display": party.name,
        },
    }
