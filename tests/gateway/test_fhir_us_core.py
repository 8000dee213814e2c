"""Every search that US Core expects gives what brute force finds, over Synthea and examples.

The brute force (``tests/us_core.py``) evaluates the expressions of US Core's own SearchParameters.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import us_core
from fhir_world import FhirWorld, Records, fhir_world, members, open_records, us_core_examples
from upstream_world import through_a_gateway

from node.wire.fhir.catalogue import resource_types

pytestmark = pytest.mark.shared

PATIENTS = (
    "Asa_Hermiston_4384bf23-1dc3-48ca-8c84-89fbaff201ae.json",
    "Cammy_Kreiger_968df7cb-9393-48b6-a9cf-0a9e9a73d4a9.json",
    "Kermit_Trantow_f1a650a5-737e-4fd7-828e-03c3348b9524.json",
)
Resources = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def bundles(shared_data: Path) -> dict[str, bytes]:
    archive = shared_data / "fhir/synthea/synthea_r4_smart.tar.gz"
    found = dict(members(archive, PATIENTS))
    assert len(found) == len(PATIENTS)
    return {**found, "us-core.json": us_core_examples(shared_data)}


@pytest.fixture(scope="session")
def loaded(
    bundles: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("us-core")
    (folder / "in").mkdir()
    for name, data in bundles.items():
        (folder / "in" / name).write_bytes(data)
    records = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    report = records.load(folder / "in")
    assert report.failures == ()
    yield records
    records.engine.dispose()


@pytest.fixture(scope="session")
def held(bundles: dict[str, bytes]) -> Resources:
    """All resources as they must be served: references inside a bundle by type and id."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for data in bundles.values():
        text = data.decode()
        for entry in json.loads(data)["entry"]:
            resource = entry["resource"]
            if str(entry.get("fullUrl")).startswith("urn:uuid:"):
                name = f"{resource['resourceType']}/{resource['id']}"
                text = text.replace(f'"{entry["fullUrl"]}"', f'"{name}"')
        for entry in json.loads(text)["entry"]:
            resource = entry["resource"]
            found[resource["resourceType"], resource["id"]] = resource
    grouped: Resources = defaultdict(list)
    for (type_, _), resource in found.items():
        grouped[type_].append(resource)
    return grouped


@pytest.fixture
async def world(loaded: Records, us, them) -> AsyncIterator[FhirWorld]:
    async with fhir_world(loaded, us, them) as running:
        yield running


def asked(shared: Path, type_: str) -> list[tuple[str, tuple[str, ...]]]:
    """The searches that US Core expects of a type: single parameters and combinations."""
    resource = us_core.server_types(shared)[type_]
    singles = [(us_core.expectation(p), (p["name"],)) for p in resource.get("searchParam", ())]
    both = [(how, tuple(sorted(names))) for how, names in us_core.combinations(resource)]
    return [(how, names) for how, names in singles + both if how in ("SHALL", "SHOULD")]


def sample(kind: str, elements: list[Any]) -> Iterator[str]:
    """Values to search with, made of what a resource has."""
    for element in elements[:2]:
        match kind:
            case "token":
                for system, code in us_core.tokens(element)[:1]:
                    yield code
                    if system and isinstance(element, dict):
                        yield f"{system}|{code}"
            case "string":
                for text in us_core.texts(element)[:2]:
                    yield text[:4].upper().replace(",", "")
            case "reference":
                yield (element if isinstance(element, str) else element.get("reference", ""))
            case "date":
                text = element if isinstance(element, str) else element.get("start", "")
                if text:
                    yield from (text[:10], f"ge{text[:10]}", f"lt{text}", f"gt{text[:7]}")


class Brute:
    def __init__(self, shared: Path, held: Resources) -> None:
        self.parameters = us_core.parameters(shared)
        self.held = held

    def elements(self, type_: str, name: str, resource: dict[str, Any]) -> list[Any]:
        if name == "_id":
            return [resource["id"]]
        return us_core.evaluate(self.parameters[type_, name]["expression"], resource)

    def kind(self, type_: str, name: str) -> str:
        return "token" if name == "_id" else self.parameters[type_, name]["type"]

    def ids(self, type_: str, query: dict[str, str]) -> set[str]:
        return {
            f"{type_}/{r['id']}"
            for r in self.held[type_]
            if all(
                us_core.matches(self.kind(type_, n), self.elements(type_, n, r), v)
                for n, v in query.items()
            )
        }

    def queries(self, type_: str, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
        """At most six questions to which there is an answer, from different resources."""
        made = 0
        for resource in self.held[type_][:: max(1, len(self.held[type_]) // 40)]:
            values = [
                list(sample(self.kind(type_, n), self.elements(type_, n, resource))) for n in names
            ]
            if not all(values):
                continue
            for number in range(max(map(len, values))):
                yield {n: v[number % len(v)] for n, v in zip(names, values, strict=True)}
                made += 1
                if made >= 6:
                    return


TYPES = sorted(n for n, t in resource_types().items() if t.us_core and len(t.parameters) > 1)


@pytest.mark.parametrize("type_", TYPES)
async def test_every_search_that_us_core_expects_gives_what_brute_force_finds(
    type_: str, world: FhirWorld, held: Resources, shared_data: Path
):
    await check_searches(type_, world, held, shared_data)


@pytest.mark.parametrize("type_", ["CareTeam", "Condition", "Goal", "Patient", "PractitionerRole"])
async def test_a_gateway_gives_what_brute_force_finds(
    type_: str, world: FhirWorld, held: Resources, shared_data: Path, us, them, tmp_path: Path
):
    async with through_a_gateway(world, us, them, tmp_path) as gateway:
        await check_searches(type_, gateway.world, held, shared_data)
        assert not gateway.withheld


async def check_searches(type_: str, world: FhirWorld, held: Resources, shared_data: Path) -> None:
    brute = Brute(shared_data, held)
    token = world.token()
    count = 0
    for _how, names in asked(shared_data, type_):
        for query in brute.queries(type_, names):
            wanted = brute.ids(type_, query)
            asked_by = resource_types()[type_].asked_by
            if asked_by and not set(names) & set(asked_by):
                continue  # too broad: a test of its own says how that is refused
            found = await world.everything(type_, query, token=token)
            assert sorted(found) == sorted(wanted), query
            count += bool(wanted)
    known = {n for how, names in asked(shared_data, type_) if how == "SHALL" for n in names}
    assert count or not held[type_] or not known, type_
