"""What merging five peers' searchsets costs, beside one orjson pass over the same bytes.

Each peer's page has 200 laboratory results like those of US Core: every one has an identifier of its
peer, and every tenth is held by all five, so that there is something to recognise. The node reads
the pages, checks every entry, links what is the same, and writes one Bundle with a Provenance for
each peer; the floor decodes the five pages and encodes them again, and does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from node.exchange.fhir_merge import PeerAnswer, merge
from node.exchange.fhir_merged_writer import write_merged
from node.model import HomeCommunityId, Outcome
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.provenance import Party
from node.wire.fhir.searchset_reader import Asked, read_searchset
from tests.bench.row import Row, Sizes, alternately, compared

_PEERS, _ENTRIES, _SHARED_BY_ALL = 5, 200, 10
_TARGET = 3.0
_OWN = Party(home_community_id="urn:oid:2.999.9", name="Lake Health")
_CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"


def merge_rows(sizes: Sizes) -> Iterator[Row]:
    """Five bundles of 200 entries."""
    pages = [_page(peer) for peer in range(_PEERS)]
    batch = max(sizes.requests // 8, 5)
    merged = orjson.loads(_merged(pages))
    matches = [e for e in merged["entry"] if e["search"]["mode"] == "match"]
    linked = sum("link" in each for each in matches)
    if (len(matches), linked) != (_PEERS * _ENTRIES, _PEERS * _ENTRIES // _SHARED_BY_ALL):
        raise RuntimeError("the merge is not the one that was to be measured")

    def cost(work: Any) -> float:
        started = time.process_time()
        for _ in range(batch):
            work(pages)
        return (time.process_time() - started) / batch * 1e3

    sides = [lambda: cost(_merged), lambda: cost(_floor)]
    alternately(sides, 1)
    costs, floors = alternately(sides, sizes.rounds * 2)
    name = f"FHIR merge, {_PEERS} bundles of {_ENTRIES} entries"
    yield compared(name, "ms CPU/merge", costs, floors, target=_TARGET)


def _merged(pages: list[bytes]) -> bytes:
    observation = resource_types()["Observation"]
    answers = []
    for peer, data in enumerate(pages):
        asked = Asked(base_url=_base(peer), type=observation, patient="p1")
        page = read_searchset(data, asked)
        answers.append(
            PeerAnswer(
                home_community_id=HomeCommunityId(f"urn:oid:2.999.{peer}"),
                name=f"Peer {peer}",
                outcome=Outcome.OK,
                entries=page.entries,
                quarantined=page.quarantined,
            )
        )
    now = datetime.now(UTC)
    return write_merged(merge(answers), own=_OWN, now=now, new_id=lambda: "0190")


def _floor(pages: list[bytes]) -> None:
    for data in pages:
        orjson.dumps(orjson.loads(data))


def _base(peer: int) -> str:
    return f"https://peer{peer}.example/fhir"


def _page(peer: int) -> bytes:
    entries = [
        {
            "fullUrl": f"{_base(peer)}/Observation/o-{peer}-{number}",
            "resource": _observation(peer, number),
            "search": {"mode": "match"},
        }
        for number in range(_ENTRIES)
    ]
    bundle = {"resourceType": "Bundle", "id": "b", "type": "searchset", "entry": entries}
    return orjson.dumps(bundle)


def _observation(peer: int, number: int) -> dict[str, Any]:
    own = 0 if number % _SHARED_BY_ALL == 0 else (peer + 1) * 1000
    return {
        "resourceType": "Observation",
        "id": f"o-{peer}-{number}",
        "meta": {
            "versionId": "1",
            "lastUpdated": "2024-01-01T00:00:00Z",
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"],
        },
        "identifier": [{"system": f"urn:oid:2.999.{peer}", "value": f"r{number}"}],
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORIES, "code": "laboratory"}]}],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": f"{1000 + number}-5", "display": "Result"}
            ],
            "text": "Result",
        },
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
        "effectiveDateTime": f"2024-0{number % 9 + 1}-1{number % 9}T10:00:00-05:00",
        "issued": "2024-01-01T10:00:00.123-05:00",
        "valueQuantity": {
            "value": number / 10 + own,
            "unit": "g/dL",
            "system": "http://unitsofmeasure.org",
            "code": "g/dL",
        },
    }
