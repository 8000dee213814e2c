"""Stored queries over entries: the cases of facts ihe-wire 17.6 by name, and the filters' rules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from node.model import (
    Author,
    Availability,
    Code,
    DocumentEntry,
    DocumentType,
    HomeCommunityId,
    PatientId,
    ResponseStatus,
    ReturnType,
    StoredQuery,
)
from node.records.document_filter import like, tables
from node.records.stored_queries import QueryPolicy, Scope, evaluate, scope_of
from node.wire.stored_query_catalogue import catalogue

HOME = HomeCommunityId("urn:oid:1.2.3")
ANA = PatientId(assigning_authority="1.2.3.1", id="ana")
BEN = PatientId(assigning_authority="1.2.3.1", id="ben")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
POLICY = QueryPolicy(home_community_id=HOME)
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
PREFIX = "$XDSDocumentEntry"


def coded(code: str, scheme: str = "9.9") -> Code:
    return Code(code=code, scheme=scheme)


def entry(name: str, patient: PatientId = ANA, **fields: object) -> DocumentEntry:
    base: dict[str, object] = {
        "creation_time": "20250601120000",
        "service_start": "20250501",
        "service_stop": "20250510",
        "class_code": coded("summary"),
        "confidentiality": (coded("N"),),
    }
    return DocumentEntry(
        entry_uuid=f"urn:uuid:{name}",
        unique_id=f"1.2.{name}",
        repository_unique_id="1.2.3.9",
        home_community_id=HOME,
        patient_id=patient,
        **{**base, **fields},  # type: ignore[arg-type]
    )


def find(
    *slots: tuple[str, tuple[str, ...]],
    patient: str = ANA.cx,
    query: str = "FindDocuments",
    refs: bool = False,
) -> StoredQuery:
    required: list[tuple[str, tuple[str, ...]]] = []
    if query.startswith("FindDocuments"):
        required = [(f"{PREFIX}PatientId", (patient,)), (f"{PREFIX}Status", (APPROVED,))]
    if query == "GetAll":
        required = [("$patientId", (patient,)), (f"{PREFIX}Status", (APPROVED,))]
    return StoredQuery(
        id=catalogue().named(query).id,
        parameters=(*required, *slots),
        return_type=ReturnType.OBJECT_REF if refs else ReturnType.LEAF_CLASS,
        home=HOME,
    )


def names(query: StoredQuery, *entries: DocumentEntry, policy: QueryPolicy = POLICY) -> set[str]:
    answer = evaluate(query, entries, known_patient=True, policy=policy, now=NOW)
    assert answer.status is ResponseStatus.SUCCESS, answer.errors
    return {d.unique_id.removeprefix("1.2.") for d in answer.documents}


def failure(query: StoredQuery, *entries: DocumentEntry) -> str:
    answer = evaluate(query, entries, known_patient=True, policy=POLICY, now=NOW)
    assert answer.status is ResponseStatus.FAILURE
    assert not answer.documents
    assert answer.errors[0].location == HOME
    return answer.errors[0].code


def slot(name: str, *values: str) -> tuple[str, tuple[str, ...]]:
    return (PREFIX + name, values)


def test_11897_by_status():
    old = entry("old", status=Availability.DEPRECATED)
    assert names(find(), entry("a"), old) == {"a"}
    both = StoredQuery(
        id=catalogue().named("FindDocuments").id,
        parameters=(
            slot("PatientId", ANA.cx),
            slot("Status", APPROVED, APPROVED.replace("Approved", "Deprecated")),
        ),
    )
    assert names(both, entry("a"), old) == {"a", "old"}


@pytest.mark.parametrize(
    ("parameter", "attribute", "several"),
    [
        ("ClassCode", "class_code", False),
        ("TypeCode", "type_code", False),
        ("FormatCode", "format_code", False),
        ("PracticeSettingCode", "practice_setting", False),
        ("HealthcareFacilityTypeCode", "facility_type", False),
        ("EventCodeList", "event_codes", True),
        ("ConfidentialityCode", "confidentiality", True),
    ],
)
def test_11897_by_code(parameter: str, attribute: str, several: bool):
    def with_code(name: str, code: Code) -> DocumentEntry:
        return entry(name, **{attribute: (code,) if several else code})

    held = [with_code("a", coded("x")), with_code("b", coded("y")), with_code("c", coded("x", "8"))]
    assert names(find(slot(parameter, "x^^9.9")), *held) == {"a"}
    assert names(find(slot(parameter, "x^^9.9", "y^^9.9")), *held) == {"a", "b"}
    assert names(find(slot(parameter, "x^^urn:oid:9.9")), *held) == {"a"}
    assert names(find(slot(parameter, "nowhere^^9.9")), *held) == set()


def test_11897_and_of_event_codes():
    held = [
        entry("one", event_codes=(coded("x"),)),
        entry("both", event_codes=(coded("x"), coded("y"))),
    ]
    assert names(find(slot("EventCodeList", "x^^9.9"), slot("EventCodeList", "y^^9.9")), *held) == {
        "both"
    }
    assert names(find(slot("EventCodeList", "x^^9.9", "y^^9.9")), *held) == {"one", "both"}


def test_11897_class_code_without_scheme_fails():
    assert failure(find(slot("ClassCode", "a^^9.9", "a^^"))) == "XDSStoredQueryParamNumber"


def test_11897_old_split_scheme_fails_unless_the_community_accepts_it():
    query = find(slot("ClassCode", "summary"), slot("ClassCodeScheme", "9.9"))
    assert failure(query, entry("a")) == "XDSStoredQueryParamNumber"
    lenient = QueryPolicy(home_community_id=HOME, legacy_schemes=True)
    assert names(query, entry("a"), policy=lenient) == {"a"}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ("20250601120000", None, {"a"}),
        ("20250601120001", None, set()),
        (None, "20250601120000", set()),
        (None, "20250601120001", {"a"}),
        ("2025", "2026", {"a"}),
        ("202506", "202507", {"a"}),
        ("2024", "2025", set()),
    ],
)
def test_11897_creation_time_from_is_inclusive_and_to_exclusive(
    low: str | None, high: str | None, expected: set[str]
):
    slots = [slot("CreationTimeFrom", low)] if low else []
    slots += [slot("CreationTimeTo", high)] if high else []
    assert names(find(*slots), entry("a")) == expected


def test_11897_service_times_of_lower_precision_stand_for_their_period():
    held = entry("a", service_start="202505", service_stop=None)
    assert names(find(slot("ServiceStartTimeFrom", "20250515")), held) == {"a"}
    assert names(find(slot("ServiceStartTimeFrom", "20250601")), held) == set()
    assert names(find(slot("ServiceStopTimeFrom", "2025")), held) == set()


def test_17_817_to_without_from_is_no_error():
    query = find(slot("ServiceStartTimeTo", "2026"), slot("ServiceStopTimeFrom", "2025"))
    assert names(query, entry("a")) == {"a"}


def test_a_time_that_is_none_fails():
    assert failure(find(slot("CreationTimeFrom", "yesterday"))) == "XDSStoredQueryParamNumber"


def test_11897_by_author_with_wildcards():
    held = entry("a", authors=(Author(person="1^Seven^Henry"), Author(institutions=("x",))))
    for pattern in ("%Seven%", "1^Seven^Henry", "%^seven^Henr_", "%"):
        assert names(find(slot("AuthorPerson", pattern)), held) == {"a"}
    assert names(find(slot("AuthorPerson", "Seven")), held) == set()
    assert names(find(slot("AuthorPerson", "%")), entry("b")) == set()


def test_like_is_linear_for_hostile_patterns():
    assert not like("%a" * 120 + "b", "a" * 250)
    assert like("_%_", "ab")
    assert not like("_%_", "a")


def test_by_reference_id_and_of_slots():
    held = [entry("a", reference_ids=("r1", "r2")), entry("b", reference_ids=("r1",))]
    one = find(slot("ReferenceIdList", "r1"), query="FindDocumentsByReferenceId")
    both = find(
        slot("ReferenceIdList", "r1"),
        slot("ReferenceIdList", "r2"),
        query="FindDocumentsByReferenceId",
    )
    assert names(one, *held) == {"a", "b"}
    assert names(both, *held) == {"a"}


def test_availability_absent_is_online():
    offline = entry("off", document_availability="urn:ihe:iti:2010:DocumentAvailability:Offline")
    query = find(slot("DocumentAvailability", tables()["availability"]["assumed"]))
    assert names(query, entry("a"), offline) == {"a"}


@pytest.mark.parametrize("query", ["FindDocuments", "GetAll"])
def test_15805_on_demand_stable_and_both(query: str):
    held = [
        entry("s"),
        entry("d", type=DocumentType.ON_DEMAND, creation_time=None, service_start=None),
    ]
    stable, demand = DocumentType.STABLE.value, DocumentType.ON_DEMAND.value
    assert names(find(query=query), *held) == {"s"}
    assert names(find(slot("Type", stable), query=query), *held) == {"s"}
    assert names(find(slot("Type", demand), query=query), *held) == {"d"}
    assert names(find(slot("Type", stable, demand), query=query), *held) == {"s", "d"}


def test_15803_get_all_filters_by_format_and_confidentiality():
    held = [entry("n"), entry("r", confidentiality=(coded("R"),))]
    query = find(slot("ConfidentialityCode", "R^^9.9"), query="GetAll")
    assert names(query, *held) == {"r"}


@pytest.mark.parametrize(
    "query",
    [
        "FindSubmissionSets",
        "FindFolders",
        "GetFolders",
        "GetAssociations",
        "GetSubmissionSets",
        "GetSubmissionSetAndContents",
        "GetFolderAndContents",
        "GetFoldersForDocument",
        "GetRelatedDocuments",
    ],
)
def test_11898_to_11909_about_other_objects_succeed_empty(query: str):
    assert names(find(query=query), entry("a")) == set()


def test_11901_get_documents_by_each_id():
    held = [entry("a"), entry("b", logical_id="urn:uuid:lid")]
    for given in (
        slot("EntryUUID", "urn:uuid:b"),
        slot("UniqueId", "1.2.b"),
        slot("LogicalID", "urn:uuid:lid"),
    ):
        assert names(find(given, query="GetDocuments"), *held) == {"b"}
    assert names(find(slot("UniqueId", "nowhere"), query="GetDocuments"), *held) == set()
    query = find(slot("UniqueId", "1.2.a"), query="GetDocumentsAndAssociations")
    assert names(query, *held) == {"a"}


def test_12368_get_documents_of_two_patients():
    held = [entry("a"), entry("b", BEN)]
    ids = slot("UniqueId", "1.2.a", "1.2.b")
    assert failure(find(ids, query="GetDocuments"), *held) == "XDSResultNotSinglePatient"
    answer = evaluate(
        find(ids, query="GetDocuments", refs=True),
        held,
        known_patient=True,
        policy=POLICY,
        now=NOW,
    )
    assert answer.status is ResponseStatus.SUCCESS
    assert {(r.id, r.home_community_id, r.patient_id) for r in answer.refs} == {
        ("urn:uuid:a", HOME, ANA),
        ("urn:uuid:b", HOME, BEN),
    }


def test_qtf_819_without_dates_five_years_and_on_demand_always():
    old = {"creation_time": "2015", "service_start": "2014", "service_stop": "2015"}
    held = [
        entry("new"),
        entry("old", **old),
        entry("none", creation_time=None, service_start=None, service_stop=None),
        entry("demand", type=DocumentType.ON_DEMAND, **old),
    ]
    both = slot("Type", DocumentType.STABLE.value, DocumentType.ON_DEMAND.value)
    assert names(find(both), *held) == {"new", "none", "demand"}
    assert "old" in names(find(both, slot("ServiceStopTimeFrom", "2000")), *held)
    everything = QueryPolicy(home_community_id=HOME, default_years=None)
    assert "old" in names(find(both), *held, policy=everything)


def test_unknown_patient_by_policy():
    query = find(patient="x^^^&1.2.3.1&ISO")
    answer = evaluate(query, (), known_patient=False, policy=POLICY, now=NOW)
    assert answer.errors[0].code == "XDSUnknownPatientId"
    quiet = QueryPolicy(home_community_id=HOME, unknown_patient_is_error=False)
    answer = evaluate(query, (), known_patient=False, policy=quiet, now=NOW)
    assert answer.status is ResponseStatus.SUCCESS
    assert not answer.errors


def test_too_many_results():
    few = QueryPolicy(home_community_id=HOME, max_documents=1)
    held = [entry("a"), entry("b")]
    answer = evaluate(find(), held, known_patient=True, policy=few, now=NOW)
    assert answer.errors[0].code == "XDSTooManyResults"
    answer = evaluate(find(refs=True), held, known_patient=True, policy=few, now=NOW)
    assert len(answer.refs) == 2


def test_newest_first():
    answer = evaluate(
        find(),
        [entry("a", service_stop="20250101"), entry("b", service_stop="20260101")],
        known_patient=True,
        policy=POLICY,
        now=NOW,
    )
    assert [d.unique_id for d in answer.documents] == ["1.2.b", "1.2.a"]


def test_scope_names_what_to_read():
    assert scope_of(find()).patient_id == ANA
    assert scope_of(find(patient="not a CX")).patient_id is None
    assert scope_of(find(slot("UniqueId", "1.2"), query="GetDocuments")).unique_ids == ("1.2",)
    assert scope_of(find(query="GetFolders")) == Scope()
    assert len(catalogue().queries) == 14
