import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from directory.codec import dump_organization, load_organization
from directory.export import export_bundle
from directory.fhir import read_organizations
from directory.mapping import community_mapping
from directory.model import Contact, Endpoint, Organization, Period, PostalAddress
from directory.rows import rows_of_bundle

words = st.text("abcdefghij XYZ-é", min_size=1, max_size=20).map(str.strip).filter(bool)
ids = st.text("abcXYZ019.-", min_size=1, max_size=20)
oids = st.lists(st.integers(0, 10**6), min_size=3, max_size=6).map(
    lambda arcs: "2." + ".".join(map(str, arcs))
)
purposes = st.frozensets(st.sampled_from(["T-TRTMNT", "T-IAS", "T-HCO-CC", "TREATMENT"]))
maybe = st.none() | words


def tuples(values, size=3):
    return st.lists(values, unique=True, max_size=size).map(tuple)


endpoints = st.builds(
    Endpoint,
    id=ids,
    address=st.just("https://gw.example/xca"),
    transactions=st.frozensets(st.sampled_from(["ITI-55", "ITI-38", "ITI-39", "FHIR"]), min_size=1),
    responds=purposes,
    connection_type=st.sampled_from(["ihe-xca", "hl7-fhir-rest"]),
    status=st.sampled_from(["active", "off"]),
    version=maybe,
    roles=tuples(words),
    period=st.none() | st.builds(Period, start=st.just("2026-01-01"), end=st.none()),
    name=maybe,
    contained=st.booleans(),
)
organizations = st.builds(
    Organization,
    id=ids,
    name=words,
    active=st.booleans(),
    home_community_ids=st.lists(oids.map("urn:oid:".__add__), unique=True, min_size=1).map(tuple),
    tefca_ids=tuples(words),
    assigning_authorities=tuples(oids),
    npis=tuples(st.from_regex(r"[0-9]{10}", fullmatch=True)),
    type=st.sampled_from(["QHIN", "Participant", "Subparticipant", "Child", "Connection"]),
    part_of=st.none() | ids,
    managing_organization=st.none() | ids,
    initiates=purposes,
    initiates_transactions=st.frozensets(st.sampled_from(["ITI-55", "FHIR"])),
    domains=tuples(st.sampled_from(["RCE", "CQ", "eHx"])),
    use_cases=tuples(words),
    initiator_only=st.booleans(),
    node_type=maybe,
    delegates=tuples(ids),
    profiles=st.lists(words, unique=True, min_size=1, max_size=2).map(tuple),
    addresses=st.lists(
        st.builds(PostalAddress, lines=tuples(words), city=words, postal_code=maybe), max_size=2
    ).map(tuple),
    contacts=st.lists(
        st.builds(Contact, purpose=maybe, name=words, phones=tuples(words), emails=tuples(words)),
        max_size=2,
    ).map(tuple),
    endpoints=st.lists(endpoints, max_size=4, unique_by=lambda e: e.id).map(
        lambda found: tuple(sorted(found, key=lambda e: (not e.contained, e.id)))
    ),
    last_updated=st.none() | st.just("2026-01-01T00:00:00Z"),
)


@settings(max_examples=40)
@given(organizations)
def test_an_exported_entry_is_imported_as_the_same_value(organization):
    bundle = orjson.loads(orjson.dumps(export_bundle(organization)))
    found, findings = read_organizations(rows_of_bundle(bundle), community_mapping())
    assert findings == ()
    assert found == (organization,)


@settings(max_examples=40)
@given(organizations)
def test_the_stored_form_gives_back_the_same_value(organization):
    assert load_organization(dump_organization(organization).decode()) == organization


def test_the_export_has_the_rce_form():
    organization = Organization(
        id="2.999.1",
        name="Node",
        home_community_ids=("urn:oid:2.999.1",),
        type="Subparticipant",
        initiates=frozenset({"T-TRTMNT"}),
        endpoints=(
            Endpoint(
                id="dq", address="https://a.example/", transactions=frozenset({"ITI-38", "ITI-39"})
            ),
        ),
    )
    (entry,) = export_bundle(organization)["entry"]
    resource = entry["resource"]
    base = "https://sequoiaproject.org/fhir/"
    assert resource["meta"]["profile"] == [f"{base}rce/StructureDefinition/SubParticipant"]
    assert resource["identifier"][0]["value"] == "urn:oid:2.999.1"
    assert resource["endpoint"] == [{"reference": "#dq"}]
    endpoint = resource["contained"][0]
    assert endpoint["payloadType"]
    assert endpoint["managingOrganization"] == {"reference": "Organization/2.999.1"}
    assert [
        extension["valueCodeableConcept"]["coding"][0]["code"]
        for extension in endpoint["extension"]
    ] == ["XCA Query", "XCA Retrieve"]


def test_local_settings_are_never_exported():
    organization = Organization(
        id="a", name="A", suspended=True, suspended_reason="secret", profile={"timeout": 3.0}
    )
    text = orjson.dumps(export_bundle(organization)).decode()
    assert "secret" not in text
    assert "timeout" not in text
