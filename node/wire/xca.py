"""AdhocQueryResponse ⇄ ``QueryAnswer`` (ITI-38).

Written strictly: error list before the object list, the object list also when it is empty, ``home``
on every object, ``location`` on every error. Read liberally; an object without ``home`` is kept and
recorded as ``XDSMissingHomeCommunityId`` naming the responder, and an entry that could never be
retrieved becomes an error: neither is dropped silently.

Source: ITI TF-2 3.38.4.1.3; ITI TF-3 4.2.4; facts ihe-wire 3.3, 13, 17.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from node.errors import LimitError, WireError
from node.model import (
    DocumentEntry,
    HomeCommunityId,
    ObjectRef,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
)
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.document_entry import parse_document_entry, parse_home_attribute
from node.wire.elements import escaped, grouped, limited, new_root
from node.wire.extrinsic_object import document_entry_text
from node.wire.names import QUERY, RIM, RS
from node.wire.registry_errors import build_errors, parse_errors, parse_status, settle_status
from node.wire.xml import children, local_name, serialize

__all__ = ["parse_query_answer", "write_query_answer"]

_MAX_OBJECTS = 20_000
_NAMED = 5
_NAME_LENGTH = 64


def write_query_answer(answer: QueryAnswer, *, home: HomeCommunityId) -> bytes:
    """The body of an ITI-38 answer as UTF-8 XML that declares all its namespaces.

    Args:
        answer: what to say.
        home: HCID of this gateway, for objects and errors that name no community of their own.

    Raises:
        OurFault: ``entry-incomplete`` for an entry without the ids that retrieve it;
            ``text-not-xml`` for characters XML cannot carry.
    """
    head = (
        f'<query:AdhocQueryResponse xmlns:query="{QUERY}" xmlns:rs="{RS}" xmlns:rim="{RIM}"'
        f' status="{answer.status.value}">'
    )
    return "".join(
        (
            head,
            _errors_text(answer.errors, home),
            "<rim:RegistryObjectList>",
            *[document_entry_text(document, home=home) for document in answer.documents],
            *[_ref_text(ref, home) for ref in answer.refs],
            "</rim:RegistryObjectList></query:AdhocQueryResponse>",
        )
    ).encode()


def _errors_text(errors: Sequence[RegistryError], home: HomeCommunityId) -> str:
    holder = new_root(f"{{{QUERY}}}AdhocQueryResponse", {"rs": RS})
    build_errors(holder, errors, location=home)
    return "".join(serialize(child).decode() for child in holder)


def _ref_text(ref: ObjectRef, home: HomeCommunityId) -> str:
    community = escaped(ref.home_community_id or home, "home")
    return f'<rim:ObjectRef id="{escaped(ref.id, "id")}" home="{community}"/>'


def parse_query_answer(
    element: etree._Element, responder: HomeCommunityId
) -> tuple[QueryAnswer, tuple[ContentDeviation, ...]]:
    """Read the body of an ITI-38 answer.

    Folders, submission sets and associations are passed over and counted.

    Args:
        element: the body.
        responder: HCID of the gateway asked, named by errors that we record ourselves.

    Raises:
        WireError: ``query-answer-invalid`` when the body is no AdhocQueryResponse.
        LimitError: ``too-many-values`` past 20,000 objects, ``value-too-long``.
    """
    if element.tag != f"{{{QUERY}}}AdhocQueryResponse":
        raise WireError("query-answer-invalid", "The body is no AdhocQueryResponse.", where="/")
    deviations = Deviations()
    stated = parse_status(element, deviations)
    errors = parse_errors(element, deviations)
    lists = grouped(element).get("RegistryObjectList", [])
    if not lists:
        deviations.add(ContentDeviation.OBJECT_LIST_MISSING)
    documents: list[DocumentEntry] = []
    refs: list[ObjectRef] = []
    unusable = 0
    objects = [child for container in lists for child in children(container)]
    if len(objects) > _MAX_OBJECTS:
        raise LimitError(
            "too-many-values",
            f"The answer has more than {_MAX_OBJECTS} objects.",
            where="RegistryObjectList",
        )
    for child in objects:
        match local_name(child):
            case "ExtrinsicObject":
                try:
                    documents.append(parse_document_entry(child, deviations))
                except WireError as error:
                    if isinstance(error, LimitError):
                        raise
                    unusable += 1
            case "ObjectRef":
                refs.append(_ref(child, deviations))
            case _:
                deviations.add(ContentDeviation.OBJECT_IGNORED)
    ours = (*_homeless(documents, refs, responder), *_lost(unusable, responder, deviations))
    status = settle_status(stated, errors, has_data=bool(documents or refs), deviations=deviations)
    if ours and status is ResponseStatus.SUCCESS:
        status = ResponseStatus.PARTIAL_SUCCESS
    return QueryAnswer(
        status=status,
        documents=tuple(documents),
        refs=tuple(refs),
        errors=(*errors, *ours),
    ), deviations.seen()


def _ref(element: etree._Element, deviations: Deviations) -> ObjectRef:
    return ObjectRef(
        id=limited(element.get("id") or "", "ObjectRef/@id"),
        home_community_id=parse_home_attribute(element, deviations),
    )


def _homeless(
    documents: Sequence[DocumentEntry], refs: Sequence[ObjectRef], responder: HomeCommunityId
) -> tuple[RegistryError, ...]:
    """One error that names the faulty objects (ITI TF-2 3.38.4.1.3)."""
    faulty = [
        *(document.entry_uuid for document in documents if document.home_community_id is None),
        *(ref.id for ref in refs if ref.home_community_id is None),
    ]
    if not faulty:
        return ()
    named = ", ".join(name[:_NAME_LENGTH] for name in faulty[:_NAMED]) + (
        " ..." if len(faulty) > _NAMED else ""
    )
    total = len(documents) + len(refs)
    return (
        RegistryError(
            code="XDSMissingHomeCommunityId",
            context=f"{len(faulty)} of {total} objects have no homeCommunityId: {named}",
            location=responder,
        ),
    )


def _lost(
    unusable: int, responder: HomeCommunityId, deviations: Deviations
) -> tuple[RegistryError, ...]:
    if not unusable:
        return ()
    deviations.add(ContentDeviation.ENTRY_UNUSABLE)
    return (
        RegistryError(
            code="XDSRegistryMetadataError",
            context=f"{unusable} document entries lack the ids that retrieve them.",
            location=responder,
        ),
    )
