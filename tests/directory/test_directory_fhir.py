import pytest

from directory.fhir import read_organizations, read_row
from directory.mapping import community_mapping
from directory.rows import Row, rows_of_bundle

CAREQUALITY = "http://healthit.gov/nhin/purposeofuse"
MCSD = "https://profiles.ihe.net/ITI/mCSD/"


def read(*resources, mapping=None):
    bundle = {"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]}
    return read_organizations(rows_of_bundle(bundle), mapping or community_mapping())


def codes(findings):
    return [finding.code for finding in findings]


def test_an_rce_entry_is_read_whole(sphd):
    entry = sphd.organization(
        "2.999.1",
        hcid="urn:oid:2.999.1",
        level="QHIN",
        purposes=("T-TRTMNT", "T-IAS"),
        endpoints=[
            sphd.endpoint("pd", "XCPD", connection="ihe-xcpd"),
            sphd.endpoint("dq", "XCA Query"),
            sphd.endpoint("dr", "XCA Retrieve", purposes=("T-IAS",)),
        ],
        identifiers=[
            sphd.identifier("TEFCAID", "urn:uuid:5f0e"),
            sphd.identifier("AAID", "urn:oid:2.999.1.7"),
        ],
        extensions=[
            sphd.extension("Domains", valueCoding={"code": "RCE"}),
            sphd.extension(
                "org-managing-org", valueReference={"reference": "Organization/2.999.1"}
            ),
            sphd.extension("InitiatorOnly", valueCoding={"code": "RCE"}),
            sphd.transaction("XCA Query"),
        ],
        address=[{"line": ["1 St"], "city": "X", "state": "TX", "postalCode": "78701"}],
        contact=[
            {
                "purpose": {"coding": [{"code": "ADMIN"}]},
                "name": {"given": ["Jo", None], "family": "Doe"},
                "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b"}],
            }
        ],
        partOf={"reference": "https://directory.example/fhir/Organization/2.999/_history/4"},
        meta={"lastUpdated": "2026-01-01T00:00:00Z", "profile": ["p"]},
    )
    (organization,), findings = read(entry)
    assert findings == ()
    assert organization.home_community_ids == ("urn:oid:2.999.1",)
    assert organization.tefca_ids == ("urn:uuid:5f0e",)
    assert organization.assigning_authorities == ("2.999.1.7",)
    assert organization.npis == ("1234567893",)
    assert organization.type == "QHIN"
    assert organization.initiates == {"T-TRTMNT", "T-IAS"}
    assert organization.initiates_transactions == {"ITI-38"}
    assert organization.initiator_only
    assert organization.domains == ("RCE",)
    assert organization.part_of == "2.999"
    assert organization.managing_organization == "2.999.1"
    assert organization.contacts[0].name == "Jo Doe"
    assert organization.contacts[0].emails == ("a@b",)
    assert organization.endpoint_for("ITI-55").id == "pd"
    assert organization.endpoint_for("ITI-38").id == "dq"
    assert organization.endpoint_for("ITI-39").id == "dr"
    assert organization.responds("ITI-39") == {"T-IAS"}


def test_query_and_retrieve_of_one_connection_type_are_told_apart_by_transaction(sphd):
    dq, dr = sphd.endpoint("q", "XCA ITI-38"), sphd.endpoint("r", "XCA ITI-39")
    (organization,), _ = read(sphd.organization("a", endpoints=[dr, dq]))
    assert organization.endpoint_for("ITI-38").id == "q"
    assert organization.endpoint_for("ITI-39").id == "r"


def test_an_endpoint_without_transaction_serves_what_its_connection_type_allows(sphd):
    (organization,), _ = read(sphd.organization("a", endpoints=[sphd.endpoint("x")]))
    assert organization.endpoints[0].transactions == {"ITI-38", "ITI-39"}


def test_an_unknown_transaction_does_not_fall_back_to_the_connection_type(sphd):
    (organization,), findings = read(
        sphd.organization("a", endpoints=[sphd.endpoint("x", "XCA Delete")])
    )
    assert organization.endpoints[0].transactions == frozenset()
    assert codes(findings) == ["unknown-transaction"]


def test_the_endpoint_that_serves_fewer_transactions_is_the_specific_one(sphd):
    both, only = sphd.endpoint("a"), sphd.endpoint("b", "XCA Query")
    (organization,), _ = read(sphd.organization("o", endpoints=[both, only]))
    assert organization.endpoint_for("ITI-38").id == "b"
    assert organization.endpoint_for("ITI-39").id == "a"


def test_an_endpoint_off_or_without_https_address_is_not_chosen(sphd):
    off = sphd.endpoint("a", "XCA Query", status="off")
    plain = sphd.endpoint("b", "XCA Query", address="http://x.example/")
    (organization,), _ = read(sphd.organization("o", endpoints=[off, plain]))
    assert organization.endpoint_for("ITI-38") is None
    assert organization.responds("ITI-38") == frozenset()


def test_standalone_endpoints_are_joined_by_reference_and_by_managing_organization(sphd):
    referred = sphd.endpoint("e1", "XCA Query")
    managed = sphd.endpoint(
        "e2", "XCPD", managingOrganization={"reference": "Organization/a"}, connection="ihe-xcpd"
    )
    stray = sphd.endpoint("e3", "XCPD")
    entry = sphd.organization(
        "a", endpoint=[{"reference": "Endpoint/e1"}, {"reference": "Endpoint/gone"}]
    )
    (organization,), findings = read(managed, entry, referred, stray)
    assert [e.id for e in organization.endpoints] == ["e1", "e2"]
    assert not organization.endpoints[0].contained
    assert codes(findings) == ["missing-endpoint", "endpoint-without-organization"]


def test_contained_endpoints_count_also_when_nothing_refers_to_them(sphd):
    entry = sphd.organization("a", endpoints=[sphd.endpoint("x", "XCPD")])
    del entry["endpoint"]
    (organization,), _ = read(entry)
    assert [e.id for e in organization.endpoints] == ["x"]


def test_a_contained_endpoint_left_out_of_the_references_is_not_used(sphd):
    entry = sphd.organization("a", endpoints=[sphd.endpoint("x"), sphd.endpoint("y")])
    entry["endpoint"] = [{"reference": "#y"}, {"reference": "#z"}]
    (organization,), findings = read(entry)
    assert [e.id for e in organization.endpoints] == ["y"]
    assert codes(findings) == ["missing-endpoint"]


def test_a_carequality_entry_is_read(sphd):
    endpoint = sphd.endpoint("x", "XCPD ITI-55")
    endpoint["connectionType"] = {
        "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
        "code": "ihe-xcpd",
    }
    entry = sphd.organization("2.999.5.1", endpoints=[endpoint], hcid=None, level="Connection")
    entry["extension"] = [sphd.purpose("TREATMENT", CAREQUALITY)]
    (organization,), findings = read(entry)
    assert findings == ()
    assert organization.home_community_ids == ("urn:oid:2.999.5.1",)
    assert organization.type == "Connection"
    assert organization.initiates == {"TREATMENT"}
    assert organization.endpoint_for("ITI-55").id == "x"


def test_an_mcsd_endpoint_is_read_by_its_specific_type(sphd):
    value = sphd.concept(f"{MCSD}CodeSystem/MCSDEndpointTypes", "XCA-RespGateway-Retrieve")
    url = f"{MCSD}StructureDefinition/ihe-endpointspecifictype"
    endpoint = sphd.endpoint("x")
    endpoint["extension"] = [{"url": url, "valueCodeableConcept": value}]
    endpoint["connectionType"]["system"] = f"{MCSD}CodeSystem/MCSDEndpointTypes"
    (organization,), findings = read(sphd.organization("a", endpoints=[endpoint]))
    assert findings == ()
    assert organization.endpoints[0].transactions == {"ITI-39"}


def test_unknown_purposes_are_left_out_and_said(sphd):
    (organization,), findings = read(sphd.organization("a", purposes=("T-TRTMNT", "T-HCO-QM")))
    assert organization.initiates == {"T-TRTMNT"}
    assert codes(findings) == ["unknown-purpose"]


def test_a_purpose_of_another_code_system_is_not_an_exchange_purpose(sphd):
    entry = sphd.organization("a", purposes=())
    entry["extension"] = [sphd.purpose("T-TRTMNT", "urn:other")]
    (organization,), findings = read(entry)
    assert organization.initiates == frozenset()
    assert codes(findings) == ["unknown-purpose"]


def test_endpoints_take_the_organisations_purposes_where_the_community_means_so(sphd, tmp_path):
    file = tmp_path / "m.toml"
    file.write_text('[options]\nendpoint_without_purposes = "organization"\n')
    mapping = community_mapping(file)
    inside = sphd.endpoint("i", "XCPD", purposes=())
    outside = sphd.endpoint("o", "XCA Query", purposes=())
    stated = sphd.endpoint("s", "XCA Retrieve", purposes=("T-IAS",))
    entry = sphd.organization("a", endpoints=[inside, stated])
    entry["endpoint"].append({"reference": "Endpoint/o"})
    (organization,), _ = read(entry, outside, mapping=mapping)
    assert organization.responds("ITI-55") == {"T-TRTMNT"}
    assert organization.responds("ITI-38") == {"T-TRTMNT"}
    assert organization.responds("ITI-39") == {"T-IAS"}
    (strict,), _ = read(entry, outside)
    assert strict.responds("ITI-55") == frozenset()


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ({"resourceType": "Location", "id": "l"}, "ignored-resource"),
        ({"id": "x"}, "ignored-resource"),
        ({"resourceType": "Organization"}, "no-id"),
        ({"resourceType": "Organization", "id": 7}, "no-id"),
        ({"resourceType": "Organization", "id": "a b"}, "bad-id"),
        ({"resourceType": "Endpoint", "id": "x" * 65}, "bad-id"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_finding_with_its_place(resource, code):
    reading = read_row(Row(resource=resource, where="line 9"), community_mapping())
    assert (reading.organization, reading.endpoint) == (None, None)
    assert [(f.code, f.where) for f in reading.findings] == [(code, "line 9")]


def test_a_second_entry_with_an_id_is_said_and_the_first_kept(sphd):
    found, findings = read(
        sphd.organization("a"),
        sphd.organization("a", name="Other"),
        sphd.endpoint("e"),
        sphd.endpoint("e"),
    )
    assert [o.name for o in found] == ["Hospital a"]
    assert codes(findings) == ["duplicate-id", "duplicate-id", "endpoint-without-organization"]


@pytest.mark.parametrize("value", [7, "x", [1], [[]], {"x": []}, None, [None], True])
@pytest.mark.parametrize(
    "element",
    [
        "name",
        "active",
        "identifier",
        "type",
        "extension",
        "contained",
        "endpoint",
        "address",
        "contact",
        "partOf",
        "meta",
    ],
)
def test_wrongly_typed_elements_never_break_the_reading(sphd, element, value):
    entry = sphd.organization("a", endpoints=[sphd.endpoint("e", "XCPD")])
    (organization,), _ = read({**entry, element: value})
    assert organization.id == "a"


@pytest.mark.parametrize("value", [7, "x", [1], {"x": []}, None])
@pytest.mark.parametrize(
    "element",
    ["address", "status", "extension", "connectionType", "name", "period", "managingOrganization"],
)
def test_wrongly_typed_endpoint_elements_never_break_the_reading(sphd, element, value):
    entry = sphd.organization("a", endpoints=[{**sphd.endpoint("e", "XCPD"), element: value}])
    (organization,), _ = read(entry)
    assert len(organization.endpoints) == 1


def test_an_entry_whose_state_cannot_be_read_is_not_active(sphd):
    (organization,), findings = read(sphd.organization("a", active="yes"))
    assert not organization.active
    assert codes(findings) == ["bad-form"]


def test_long_values_are_cut_and_said(sphd):
    (organization,), findings = read(sphd.organization("a", name="x" * 501))
    assert len(organization.name) == 500
    assert codes(findings) == ["value-cut"]


@pytest.mark.parametrize("name", ["Lake\x1b[2J", "Lake \u202egnp", "Lake\u200b", "Lake\x9b1m"])
def test_what_cannot_be_printed_is_replaced_and_said(sphd, name):
    (organization,), findings = read(sphd.organization("a", name=name))
    assert organization.name.isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in organization.name
    assert codes(findings) == ["value-unprintable"]


def test_spaces_of_every_kind_are_blanks(sphd):
    (organization,), findings = read(sphd.organization("a", name="Lake\u00a0General\n Hospital\t"))
    assert organization.name == "Lake General  Hospital"
    assert codes(findings) == []


def test_long_lists_are_cut_and_said(sphd):
    entry = sphd.organization("a", address=[{"city": "X"}] * 201)
    (organization,), findings = read(entry)
    assert len(organization.addresses) == 200
    assert codes(findings) == ["value-cut"]


def test_an_entry_without_name_is_called_by_its_id(sphd):
    (organization,), findings = read(sphd.organization("a", name=" "))
    assert organization.name == "a"
    assert codes(findings) == ["no-name"]
