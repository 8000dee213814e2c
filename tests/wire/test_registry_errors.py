from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import homes, registry_errors

from node.errors import LimitError
from node.model import (
    DocumentEntry,
    ObjectRef,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    Severity,
)
from node.wire.deviations import ContentDeviation as D
from node.wire.deviations import Deviations
from node.wire.names import QUERY, RS
from node.wire.registry_errors import (
    build_errors,
    known_codes,
    merge_answers,
    parse_errors,
    parse_status,
    settle_status,
)
from node.wire.xml import E, parse, serialize

ONE = "urn:oid:2.999.1"
TWO = "urn:oid:2.999.2"
ERROR = RegistryError(code="XDSRegistryError", context="broken", location=ONE)
WARNING = RegistryError(
    code="XDSExtraMetadataNotSaved", context="", severity=Severity.WARNING, location=ONE
)
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
    unique_id="2.999.5",
    repository_unique_id="2.999.6",
    home_community_id=ONE,
    patient_id=None,
)


def read(xml):
    deviations = Deviations()
    element = parse(f'<r xmlns:rs="{RS}" xmlns:query="{QUERY}">{xml}</r>'.encode())
    return parse_errors(element, deviations), set(deviations.seen())


@settings(max_examples=50, deadline=None)
@given(st.lists(registry_errors, max_size=4).map(tuple))
def test_errors_are_read_as_they_were_built(errors):
    parent = E(RS, "RegistryResponse")
    build_errors(parent, errors)
    deviations = Deviations()
    assert parse_errors(parse(serialize(parent)), deviations) == errors
    assert set(deviations.seen()) <= {D.ERROR_CODE_UNKNOWN}


@pytest.mark.parametrize(
    ("errors", "highest"),
    [
        ((ERROR,), Severity.ERROR),
        ((WARNING,), Severity.WARNING),
        ((WARNING, ERROR), Severity.ERROR),
    ],
)
def test_the_highest_severity_is_stated(errors, highest):
    parent = E(RS, "RegistryResponse")
    build_errors(parent, errors)
    assert parent[0].get("highestSeverity") == highest.value


def test_no_errors_write_no_list_and_a_missing_location_is_the_gateways():
    parent = E(RS, "RegistryResponse")
    build_errors(parent, ())
    assert len(parent) == 0
    build_errors(parent, (RegistryError(code="XDSRegistryError"),), location=TWO)
    assert parent[0][0].get("location") == TWO


GOOD = (
    '<rs:RegistryError errorCode="XDSRegistryError" codeContext="broken" '
    'location="urn:oid:2.999.1" '
    'severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"/>'
)


@pytest.mark.parametrize(
    ("xml", "errors", "deviations"),
    [
        (f"<rs:RegistryErrorList>{GOOD}</rs:RegistryErrorList>", (ERROR,), set()),
        (
            f"<query:RegistryErrorList>{GOOD}</query:RegistryErrorList>",
            (ERROR,),
            {D.ERROR_LIST_NAMESPACE},
        ),
        (
            f"<RegistryObjectList/><rs:RegistryErrorList>{GOOD}</rs:RegistryErrorList>",
            (ERROR,),
            {D.ERROR_LIST_ORDER},
        ),
        ("<rs:RegistryErrorList> \n </rs:RegistryErrorList>", (), {D.ERROR_LIST_TEXT}),
        (
            "<rs:RegistryErrorList>It broke</rs:RegistryErrorList>",
            (RegistryError(code="XDSRegistryError", context="It broke"),),
            {D.ERROR_LIST_TEXT},
        ),
        (
            (
                '<rs:RegistryErrorList><rs:RegistryError errorCode="1.3.6.1.4.1.19376.1.2.27.1" '
                'severity="Error">why</rs:RegistryError></rs:RegistryErrorList>'
            ),
            (RegistryError(code="1.3.6.1.4.1.19376.1.2.27.1", context="why"),),
            {D.ERROR_CODE_UNKNOWN, D.ERROR_SEVERITY, D.ERROR_LOCATION},
        ),
        (
            (
                '<rs:RegistryErrorList><rs:RegistryError severity="Warning" '
                'location="java.lang.Thread"/></rs:RegistryErrorList>'
            ),
            (
                RegistryError(
                    code="XDSRegistryError",
                    severity=Severity.WARNING,
                    location="java.lang.Thread",
                ),
            ),
            {D.ERROR_CODE_MISSING, D.ERROR_SEVERITY, D.ERROR_LOCATION},
        ),
    ],
)
def test_errors_are_found_wherever_partners_put_them(xml, errors, deviations):
    assert read(xml) == (errors, deviations)


def test_too_many_errors_are_refused():
    with pytest.raises(LimitError):
        read(f"<rs:RegistryErrorList>{GOOD * 1001}</rs:RegistryErrorList>")


@pytest.mark.parametrize(
    ("raw", "status", "deviations"),
    [
        *[(status.value, status, ()) for status in ResponseStatus],
        (
            "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:PartialSuccess",
            ResponseStatus.PARTIAL_SUCCESS,
            (D.STATUS_PREFIX,),
        ),
        ("success", ResponseStatus.SUCCESS, (D.STATUS_PREFIX,)),
        ("urn:x:Wonderful", ResponseStatus.FAILURE, (D.STATUS_UNKNOWN,)),
        ("", None, (D.STATUS_MISSING,)),
    ],
)
def test_a_status_counts_by_its_last_field(raw, status, deviations):
    seen = Deviations()
    assert parse_status(E("", "r", {"status": raw}), seen) == status
    assert seen.seen() == deviations


@pytest.mark.parametrize(
    ("stated", "errors", "has_data", "settled", "conflict"),
    [
        (ResponseStatus.SUCCESS, (), True, ResponseStatus.SUCCESS, False),
        (ResponseStatus.SUCCESS, (), False, ResponseStatus.SUCCESS, False),
        (ResponseStatus.SUCCESS, (WARNING,), True, ResponseStatus.SUCCESS, False),
        (ResponseStatus.SUCCESS, (ERROR,), True, ResponseStatus.PARTIAL_SUCCESS, True),
        (ResponseStatus.SUCCESS, (ERROR,), False, ResponseStatus.FAILURE, True),
        (ResponseStatus.FAILURE, (ERROR,), False, ResponseStatus.FAILURE, False),
        (ResponseStatus.FAILURE, (), False, ResponseStatus.FAILURE, True),
        (ResponseStatus.FAILURE, (ERROR,), True, ResponseStatus.PARTIAL_SUCCESS, True),
        (ResponseStatus.PARTIAL_SUCCESS, (), False, ResponseStatus.PARTIAL_SUCCESS, False),
        (None, (), False, ResponseStatus.SUCCESS, False),
        (None, (ERROR,), True, ResponseStatus.PARTIAL_SUCCESS, False),
        (None, (ERROR,), False, ResponseStatus.FAILURE, False),
    ],
)
def test_a_success_with_errors_is_never_taken_as_one(stated, errors, has_data, settled, conflict):
    seen = Deviations()
    assert settle_status(stated, errors, has_data=has_data, deviations=seen) == settled
    assert (D.STATUS_CONFLICT in seen.seen()) is conflict


def test_the_codes_of_the_tables_are_known():
    assert {"XDSUnavailableCommunity", "XDSUnknownStoredQuery", "UnknownRecipient"} <= known_codes()


# --- the merge rule of the initiating gateway -------------------------------------------------


def answer(status, *, documents=(), errors=(), refs=()):
    return QueryAnswer(status=status, documents=documents, errors=errors, refs=refs)


SUCCESS = answer(ResponseStatus.SUCCESS, documents=(ENTRY,))
EMPTY = answer(ResponseStatus.SUCCESS)
FAILED = answer(ResponseStatus.FAILURE, errors=(RegistryError(code="XDSRegistryError"),))


@pytest.mark.parametrize(
    ("branches", "status"),
    [
        ((), ResponseStatus.SUCCESS),
        ((SUCCESS, EMPTY), ResponseStatus.SUCCESS),
        ((EMPTY,), ResponseStatus.SUCCESS),
        ((SUCCESS, FAILED), ResponseStatus.PARTIAL_SUCCESS),
        ((EMPTY, FAILED), ResponseStatus.PARTIAL_SUCCESS),
        ((SUCCESS, None), ResponseStatus.PARTIAL_SUCCESS),
        ((FAILED, None), ResponseStatus.FAILURE),
        ((None, None), ResponseStatus.FAILURE),
        ((FAILED, FAILED), ResponseStatus.FAILURE),
        (
            (answer(ResponseStatus.PARTIAL_SUCCESS, documents=(ENTRY,), errors=(ERROR,)),),
            ResponseStatus.PARTIAL_SUCCESS,
        ),
        (
            (answer(ResponseStatus.SUCCESS, documents=(ENTRY,), errors=(WARNING,)),),
            ResponseStatus.SUCCESS,
        ),
        (
            (answer(ResponseStatus.SUCCESS, documents=(ENTRY,), errors=(ERROR,)),),
            ResponseStatus.PARTIAL_SUCCESS,
        ),
    ],
)
def test_the_merged_status(branches, status):
    merged = merge_answers(
        [(f"urn:oid:2.999.{number}", branch) for number, branch in enumerate(branches)]
    )
    assert merged.status is status


def test_a_silent_community_is_unavailable_and_named():
    merged = merge_answers([(ONE, SUCCESS), (TWO, None)])
    assert merged.documents == (ENTRY,)
    (error,) = merged.errors
    assert (error.code, error.severity, error.location) == (
        "XDSUnavailableCommunity",
        Severity.ERROR,
        TWO,
    )


def test_errors_are_located_at_their_community_and_none_is_dropped():
    java = RegistryError(code="A", location="gov.nist.Class")
    node = RegistryError(code="B", location="urn:oid:2.999.77")
    bare = RegistryError(code="C")
    merged = merge_answers(
        [
            (ONE, answer(ResponseStatus.FAILURE, errors=(java, node))),
            (TWO, answer(ResponseStatus.FAILURE, errors=(bare,))),
        ]
    )
    assert [(error.code, error.location) for error in merged.errors] == [
        ("A", ONE),
        ("B", "urn:oid:2.999.77"),
        ("C", TWO),
    ]


_STATUSES = st.sampled_from(ResponseStatus)
_BRANCHES = st.lists(
    st.tuples(
        homes,
        st.none()
        | st.builds(
            QueryAnswer,
            status=_STATUSES,
            documents=st.sampled_from(((), (ENTRY,))),
            refs=st.sampled_from(((), (ObjectRef(id="urn:uuid:1"),))),
            errors=st.lists(registry_errors, max_size=2).map(tuple),
        ),
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(_BRANCHES)
def test_merging_loses_nothing(branches):
    merged = merge_answers(branches)
    answers = [found for _, found in branches if found is not None]
    silent = len(branches) - len(answers)
    assert len(merged.documents) == sum(len(found.documents) for found in answers)
    assert len(merged.refs) == sum(len(found.refs) for found in answers)
    assert len(merged.errors) == sum(len(found.errors) for found in answers) + silent
    assert all(error.location for error in merged.errors)
    if silent or any(found.status is not ResponseStatus.SUCCESS for found in answers):
        assert merged.status is not ResponseStatus.SUCCESS
    if merged.documents or merged.refs:
        assert merged.status is not ResponseStatus.FAILURE
