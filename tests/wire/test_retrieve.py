from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import document_refs, retrieve_answers

from node.errors import LimitError, WireError
from node.model import DocumentRef, RegistryError, ResponseStatus
from node.wire.deviations import ContentDeviation as D
from node.wire.names import RS, XDSB, XOP
from node.wire.retrieve import (
    DocumentPart,
    RetrieveHead,
    RetrieveItem,
    build_retrieve_request,
    build_retrieve_response,
    check_document_ref,
    parse_retrieve_request,
    parse_retrieve_response,
)
from node.wire.xml import parse, serialize

OWN = "urn:oid:2.999.1"
REF = DocumentRef(
    home_community_id=OWN, repository_unique_id="2.999.6", document_unique_id="2.999.5^1"
)
SUCCESS = ResponseStatus.SUCCESS


def wire(element):
    return parse(serialize(element))


# --- request ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(document_refs, min_size=1, max_size=4).map(tuple))
def test_a_request_is_read_as_it_was_built(refs):
    assert parse_retrieve_request(wire(build_retrieve_request(refs))) == (refs, ())


def test_ids_are_sent_as_they_were_received_in_fixed_order():
    ref = DocumentRef(
        home_community_id=OWN,
        repository_unique_id="urn:oid:2.999.6",
        document_unique_id="urn:uuid:00000000-0000-4000-8000-000000000001",
    )
    (request,) = wire(build_retrieve_request([ref]))
    assert [(child.tag.rpartition("}")[2], child.text) for child in request] == [
        ("HomeCommunityId", OWN),
        ("RepositoryUniqueId", "urn:oid:2.999.6"),
        ("DocumentUniqueId", "urn:uuid:00000000-0000-4000-8000-000000000001"),
    ]


def request(inner):
    xml = f'<RetrieveDocumentSetRequest xmlns="{XDSB}">{inner}</RetrieveDocumentSetRequest>'
    return parse(xml.encode())


def test_a_missing_home_is_a_value_12312():
    element = request(
        "<DocumentRequest><RepositoryUniqueId>2.999.6</RepositoryUniqueId>"
        "<DocumentUniqueId>1</DocumentUniqueId></DocumentRequest>"
    )
    (ref,), deviations = parse_retrieve_request(element)
    assert ref.home_community_id == ""
    assert deviations == (D.HOME_MISSING,)
    error = check_document_ref(ref, (OWN,))
    assert error is not None
    assert error.code == "XDSMissingHomeCommunityId"


@pytest.mark.parametrize(
    ("home", "repository", "document", "code"),
    [
        (OWN, "2.999.6", "1", None),
        ("2.999.1", "2.999.6", "1", None),
        ("urn:oid:2.999.2", "2.999.6", "1", "XDSUnknownCommunity"),
        ("nonsense", "2.999.6", "1", "XDSUnknownCommunity"),
        ("", "2.999.6", "1", "XDSMissingHomeCommunityId"),
        (OWN, "", "1", "XDSUnknownRepositoryId"),
        (OWN, "2.999.6", "", "XDSDocumentUniqueIdError"),
    ],
)
def test_what_cannot_be_looked_up(home, repository, document, code):
    ref = DocumentRef(
        home_community_id=home, repository_unique_id=repository, document_unique_id=document
    )
    error = check_document_ref(ref, (OWN,))
    assert (error.code if error else None) == code


def test_another_request_body_is_refused():
    for element in (parse(b"<RetrieveDocumentSetRequest/>"), request("")):
        with pytest.raises(WireError) as caught:
            parse_retrieve_request(element)
        assert caught.value.code == "retrieve-invalid"


def test_more_documents_than_the_limit_are_refused():
    with pytest.raises(LimitError):
        parse_retrieve_request(request("<DocumentRequest/>" * 1001))


# --- answer -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(retrieve_answers())
def test_an_answer_is_read_as_it_was_built(answer):
    status, parts, errors = answer
    element = wire(build_retrieve_response(status, parts, errors, home=OWN))
    head, deviations = parse_retrieve_response(element)
    assert head == RetrieveHead(
        status=status,
        errors=errors,
        items=tuple(
            RetrieveItem(
                ref=part.ref,
                mime_type=part.mime_type,
                content_id=part.content_id,
                new_repository_unique_id=part.new_repository_unique_id,
                new_document_unique_id=part.new_document_unique_id,
            )
            for part in parts
        ),
    )
    assert set(deviations) <= {D.ERROR_CODE_UNKNOWN}


def test_the_answer_stands_in_schema_order_and_escapes_the_content_id():
    part = DocumentPart(
        ref=REF,
        mime_type="text/goofy",
        content_id="d1@urn:ihe:iti",
        new_repository_unique_id="2.999.6",
        new_document_unique_id="2.999.77",
    )
    element = wire(build_retrieve_response(SUCCESS, [part], (), home=OWN))
    assert [child.tag for child in element] == [
        f"{{{RS}}}RegistryResponse",
        f"{{{XDSB}}}DocumentResponse",
    ]
    assert [child.tag.rpartition("}")[2] for child in element[1]] == [
        "HomeCommunityId",
        "RepositoryUniqueId",
        "DocumentUniqueId",
        "NewRepositoryUniqueId",
        "NewDocumentUniqueId",
        "mimeType",
        "Document",
    ]
    include = element[1][-1][0]
    assert include.tag == f"{{{XOP}}}Include"
    assert include.get("href") == "cid:d1@urn%3Aihe%3Aiti"
    head, _ = parse_retrieve_response(element)
    assert head.items[0].content_id == "d1@urn:ihe:iti"
    assert head.items[0].mime_type == "text/goofy"


def test_errors_stand_inside_the_registry_response_with_a_location():
    errors = (RegistryError(code="XDSDocumentUniqueIdError", context="2.999.5^1"),)
    element = wire(build_retrieve_response(ResponseStatus.FAILURE, (), errors, home=OWN))
    assert element[0][0][0].get("location") == OWN
    head, deviations = parse_retrieve_response(element)
    assert head.status is ResponseStatus.FAILURE
    assert [error.location for error in head.errors] == [OWN]
    assert deviations == ()


def answer_with(document, home="HomeCommunityId", mime="<mimeType>text/xml</mimeType>"):
    xml = (
        f'<RetrieveDocumentSetResponse xmlns="{XDSB}" xmlns:rs="{RS}" xmlns:xop="{XOP}">'
        f'<rs:RegistryResponse status="{SUCCESS.value}"/><DocumentResponse>'
        f"<{home}>{OWN}</{home}><RepositoryUniqueId>2.999.6</RepositoryUniqueId>"
        f"<DocumentUniqueId>2.999.5^1</DocumentUniqueId>{mime}{document}"
        "</DocumentResponse></RetrieveDocumentSetResponse>"
    )
    return parse(xml.encode())


BASE64 = base64.b64encode(b"<ClinicalDocument/>").decode()


@pytest.mark.parametrize(
    ("document", "inline", "deviations"),
    [
        (f"<Document>{BASE64}</Document>", b"<ClinicalDocument/>", {D.DOCUMENT_INLINE}),
        (
            f"<Document>\n {BASE64[:8]}\r\n {BASE64[8:]} </Document>",
            b"<ClinicalDocument/>",
            {D.DOCUMENT_INLINE},
        ),
        (
            "<Document>&lt;a>b&lt;/a></Document>",
            b"<a>b</a>",
            {D.DOCUMENT_INLINE, D.DOCUMENT_UNENCODED},
        ),
        (
            "<Document>A note, plain: done!</Document>",
            b"A note, plain: done!",
            {D.DOCUMENT_INLINE, D.DOCUMENT_UNENCODED},
        ),
        ("<Document/>", b"", {D.DOCUMENT_INLINE, D.DOCUMENT_EMPTY}),
        ("", None, {D.DOCUMENT_MISSING}),
    ],
)
def test_inline_documents_are_understood(document, inline, deviations):
    head, seen = parse_retrieve_response(answer_with(document))
    (item,) = head.items
    assert item.ref == REF
    assert item.inline == inline
    assert item.content_id is None
    assert set(seen) == deviations


def test_an_inline_element_keeps_the_namespaces_it_stands_in():
    inner = '<c:doc xmlns:c="urn:c" xmlns:t="urn:t" type="t:CD">text</c:doc>'
    head, seen = parse_retrieve_response(answer_with(f"<Document>{inner}</Document>"))
    document = parse(head.items[0].inline or b"")
    assert (document.tag, document.text, document.nsmap["t"]) == ("{urn:c}doc", "text", "urn:t")
    assert set(seen) == {D.DOCUMENT_INLINE, D.DOCUMENT_UNENCODED}


@pytest.mark.parametrize(
    "text",
    [
        "QUJD=",
        "QUJ",
        "QR==",
        "QUJDRA=A",
        "QUJD*UFC",
        "=QUJ",
        "====",
        "QUJD!",
        "QUJDQ",
    ],
)
def test_broken_base64_is_refused_not_guessed(text):
    with pytest.raises(WireError) as caught:
        parse_retrieve_response(answer_with(f"<Document>{text}</Document>"))
    assert caught.value.code == "document-base64"
    assert text not in str(caught.value)


@given(st.binary(min_size=1, max_size=200))
def test_all_good_base64_is_taken(data):
    text = base64.b64encode(data).decode()
    head, _ = parse_retrieve_response(answer_with(f"<Document>{text}</Document>"))
    assert head.items[0].inline == data


@pytest.mark.parametrize("href", ["", "http://evil.example/x", "cid:", "file:///etc/passwd"])
def test_a_reference_that_is_no_part_is_refused(href):
    with pytest.raises(WireError) as caught:
        parse_retrieve_response(answer_with(f'<Document><xop:Include href="{href}"/></Document>'))
    assert caught.value.code == "document-reference"


def test_element_case_and_missing_type_are_tolerated():
    head, deviations = parse_retrieve_response(
        answer_with(f"<Document>{BASE64}</Document>", home="homeCommunityId", mime="")
    )
    assert head.items[0].ref == REF
    assert head.items[0].mime_type == "application/octet-stream"
    assert set(deviations) == {D.ELEMENT_CASE, D.MIME_TYPE_MISSING, D.DOCUMENT_INLINE}


def test_another_answer_body_is_refused():
    with pytest.raises(WireError) as caught:
        parse_retrieve_response(parse(b"<RetrieveDocumentSetResponse/>"))
    assert caught.value.code == "retrieve-invalid"


# --- messages of other products ---------------------------------------------------------------


def bodies(shared_data, name):
    for path in sorted((shared_data / "ihe-soap").rglob("*.xml")):
        try:
            root = parse(path.read_bytes())
        except WireError:
            continue
        for element in root.iter(f"{{{XDSB}}}{name}"):
            yield path.name, element


@pytest.mark.shared
def test_every_shared_answer_is_understood(shared_data):
    heads = {
        name: parse_retrieve_response(element)[0]
        for name, element in bodies(shared_data, "RetrieveDocumentSetResponse")
    }
    assert len(heads) >= 11
    c32 = heads["connect__dr_response_inline_c32.xml"].items[0]
    assert c32.inline is not None
    assert parse(c32.inline).tag == "{urn:hl7-org:v3}ClinicalDocument"
    plain = heads["metriport__dr_success.xml"]
    assert [item.inline for item in plain.items] == [b"Metriport Rocks!", b"Metriport is the best!"]
    assert plain.items[0].ref.document_unique_id == "123456789"
    assert heads["metriport__dr_empty.xml"] == RetrieveHead(status=SUCCESS)
    failed = heads["connect__dr_error_registry.xml"]
    assert failed.status is ResponseStatus.FAILURE
    assert [error.code for error in failed.errors] == ["XDSRepositoryError"]
    assert heads["connect__dr_partial_success.xml"].status is ResponseStatus.PARTIAL_SUCCESS
    deferred = heads["metriport__dr-partial-success.xml"]
    assert len(deferred.items) == 2
    assert deferred.items[0].ref.home_community_id == "urn:oid:1.2.3.4"
    assert len(heads["nist__soap-xret-resp.xml"].items) == 2


@pytest.mark.shared
def test_every_shared_request_is_understood(shared_data):
    requests = {
        name: parse_retrieve_request(element)[0]
        for name, element in bodies(shared_data, "RetrieveDocumentSetRequest")
    }
    assert requests["nist__soap-xcr-req.xml"][0] == DocumentRef(
        home_community_id="urn:oid:1.2.3.5",
        repository_unique_id="1.3.6.1.4.1000",
        document_unique_id="1.3.6.1.4.2300",
    )
    assert len(requests["nist__soap-xcr-req.xml"]) == 2
    assert requests["nist__soap-ret-req.xml"][0].home_community_id == ""
