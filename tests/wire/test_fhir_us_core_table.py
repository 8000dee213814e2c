"""``node/wire/fhir/data/search.toml`` says what US Core 6.1.0 says, row by row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import us_core
from fhir_world import us_core_examples

from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.extract import values_of

pytestmark = pytest.mark.shared

# reference data of the guide itself, which no health system holds about its patients
NOT_SERVED = {"HealthcareService", "Questionnaire", "ValueSet"}


def test_every_type_that_us_core_demands_is_served(shared_data: Path):
    demanded = us_core.server_types(shared_data)
    assert set(demanded) - set(resource_types()) == NOT_SERVED
    ours = {n: t.us_core for n, t in resource_types().items() if t.us_core}
    assert ours == {n: us_core.expectation(r) for n, r in demanded.items() if n not in NOT_SERVED}


@pytest.mark.parametrize("type_", sorted(n for n, t in resource_types().items() if t.us_core))
def test_every_parameter_is_that_of_us_core(type_: str, shared_data: Path):
    demanded = us_core.server_types(shared_data)[type_]
    ours = {
        (p.name, p.kind.value, p.us_core)
        for p in resource_types()[type_].parameters.values()
        if p.us_core is not None
    }
    assert ours == {
        (p["name"], p["type"], us_core.expectation(p)) for p in demanded.get("searchParam", ())
    }


@pytest.mark.parametrize("type_", sorted(n for n, t in resource_types().items() if t.us_core))
def test_every_combination_include_and_reverse_include_is_that_of_us_core(
    type_: str, shared_data: Path
):
    demanded, ours = us_core.server_types(shared_data)[type_], resource_types()[type_]
    assert {(c.us_core, frozenset(c.of)) for c in ours.combinations} == us_core.combinations(
        demanded
    )
    assert set(ours.include) == set(demanded.get("searchInclude", ()))
    assert set(ours.revinclude) == set(demanded.get("searchRevInclude", ()))


def test_targets_and_chains_are_those_of_us_core(shared_data: Path):
    for (type_, name), definition in us_core.parameters(shared_data).items():
        parameter = (
            resource_types()[type_].parameters.get(name) if type_ not in NOT_SERVED else None
        )
        if parameter is None:
            continue  # race, ethnicity and gender identity: in no CapabilityStatement
        targets = definition.get("target", ())
        assert parameter.target == (targets[0] if len(targets) == 1 else None), (type_, name)
        assert parameter.chain == tuple(definition.get("chain", ())), (type_, name)


def test_what_a_path_picks_is_what_the_expression_picks(shared_data: Path):
    """Over the examples of the guide: as many values, and each for the same elements."""
    definitions, compared = us_core.parameters(shared_data), 0
    for entry in json.loads(us_core_examples(shared_data))["entry"]:
        resource = entry["resource"]
        type_ = resource_types().get(resource["resourceType"])
        for parameter in type_.parameters.values() if type_ else ():
            definition = definitions.get((type_.name, parameter.name))
            if definition is None:
                continue
            elements = us_core.evaluate(definition["expression"], resource)
            if parameter.kind == "token":
                picked = {(t.system, t.code) for t in values_of(resource, parameter)}
                assert picked == {t for e in elements for t in us_core.tokens(e)}
            elif parameter.kind == "string":
                assert set(values_of(resource, parameter)) == {
                    t for e in elements for t in us_core.texts(e)
                }
            else:
                assert len(values_of(resource, parameter)) == len(
                    {json.dumps(e, sort_keys=True) for e in elements}
                ), (type_.name, resource["id"], parameter.name)
            compared += bool(elements)
    assert compared > 300
