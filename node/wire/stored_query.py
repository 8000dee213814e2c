"""AdhocQueryRequest ⇄ ``StoredQuery``, and the rules that a stored query must keep.

Parsing decodes and keeps everything (also unknown queries and parameters); ``check_stored_query``
judges, and gives the registry errors to answer with. Each occurrence of a slot stays an occurrence
of its own: inside one the values are OR, between them AND.

Source: ITI TF-2 3.18.4.1.2, 3.38.4.1.2; facts ihe-wire 3.1, 3.2, 17.3, 17.6.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from lxml import etree

from node.errors import LimitError, WireError
from node.model import HomeCommunityId, RegistryError, ReturnType, StoredQuery
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.ebxml import rim
from node.wire.elements import add, first, grouped, limited, new_root
from node.wire.identifiers import home_community_id, parse_cx, same_community
from node.wire.names import QUERY, RIM
from node.wire.stored_query_catalogue import Parameter, Query, catalogue
from node.wire.stored_query_values import decode, encode_list, encode_single
from node.wire.timestamps import parse_time
from node.wire.xml import text

__all__ = [
    "Targets",
    "build_adhoc_query",
    "check_stored_query",
    "parse_adhoc_query",
    "target_communities",
]

_MAX_SLOTS = 200
_MAX_VALUES = 5000
_TARGETS = "$targetCommunityIdList"
_NSMAP: dict[str | None, str] = {"query": QUERY, "rim": RIM}
_BARE_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RETURN_TYPES = {kind.value.lower(): kind for kind in ReturnType}
_BARE = ("time", "number")


# --- writing ----------------------------------------------------------------------------------


def build_adhoc_query(query: StoredQuery) -> etree._Element:
    """The body of an ITI-38 request.

    A parameter that may hold several values is written as a list; times and numbers bare. A
    parameter that the catalogue does not know is quoted, as a list when it has several values.

    Raises:
        OurFault: ``query-value-invalid`` when one value is longer than 256 characters as written,
            or a time or number has other characters than digits; ``text-not-xml``.
    """
    root = new_root(f"{{{QUERY}}}AdhocQueryRequest", _NSMAP)
    add(
        root,
        f"{{{QUERY}}}ResponseOption",
        returnComposedObjects="true",
        returnType=query.return_type.value,
    )
    adhoc = add(root, rim("AdhocQuery"), id=query.id, home=query.home)
    for name, values in query.parameters:
        slot = add(adhoc, rim("Slot"), name=name)
        value_list = add(slot, rim("ValueList"))
        for encoded in _encode(catalogue().parameters.get(name), values):
            add(value_list, rim("Value"), encoded)
    return root


def _encode(parameter: Parameter | None, values: tuple[str, ...]) -> tuple[str, ...]:
    if parameter is not None and parameter.kind in _BARE:
        return tuple(encode_single(value, bare=True) for value in values)
    is_list = parameter.many if parameter is not None else len(values) > 1
    if is_list:
        return encode_list(values)
    return tuple(encode_single(value, bare=False) for value in values)


# --- reading ----------------------------------------------------------------------------------


def parse_adhoc_query(
    element: etree._Element,
) -> tuple[StoredQuery, tuple[ContentDeviation, ...]]:
    """Read the body of an ITI-38 request.

    Raises:
        WireError: ``stored-query-invalid`` when the body is no AdhocQueryRequest with an AdhocQuery
            that has an id; ``stored-query-value`` for values whose quotes do not match.
        LimitError: ``too-many-values`` past 200 slots or 5,000 values, ``value-too-long``.
    """
    if element.tag != f"{{{QUERY}}}AdhocQueryRequest":
        raise WireError("stored-query-invalid", "The body is no AdhocQueryRequest.", where="/")
    deviations = Deviations()
    groups = grouped(element)
    adhoc = first(groups, "AdhocQuery")
    query_id = limited(adhoc.get("id") or "", "AdhocQuery/@id") if adhoc is not None else ""
    if adhoc is None or not query_id:
        raise WireError(
            "stored-query-invalid", "The request names no stored query.", where="AdhocQuery/@id"
        )
    slots = grouped(adhoc).get("Slot", [])
    if len(slots) > _MAX_SLOTS:
        raise LimitError("too-many-values", "The query has too many slots.", where="AdhocQuery")
    parameters = tuple(_parameter(slot, deviations) for slot in slots)
    if sum(len(values) for _, values in parameters) > _MAX_VALUES:
        raise LimitError("too-many-values", "The query has too many values.", where="AdhocQuery")
    return StoredQuery(
        id=_query_id(query_id, deviations),
        parameters=parameters,
        return_type=_return_type(first(groups, "ResponseOption"), deviations),
        home=_home(adhoc, deviations),
    ), deviations.seen()


def _parameter(slot: etree._Element, deviations: Deviations) -> tuple[str, tuple[str, ...]]:
    name = limited(slot.get("name") or "", "Slot/@name")
    elements = grouped(first(grouped(slot), "ValueList")).get("Value", ())
    place = name if name in catalogue().parameters else "Slot"  # a name of theirs may hold anything
    return name, decode((text(element) or "" for element in elements), place, deviations)


def _query_id(raw: str, deviations: Deviations) -> str:
    query_id = raw.lower()
    if _BARE_UUID.fullmatch(query_id):
        query_id = f"urn:uuid:{query_id}"
    if query_id != raw:
        deviations.add(ContentDeviation.QUERY_ID_FORM)
    return query_id


def _return_type(option: etree._Element | None, deviations: Deviations) -> ReturnType:
    """LeafClass or ObjectRef; ``LeafClassWithRepositoryItem`` and nothing read as LeafClass."""
    raw = (option.get("returnType") or "").strip() if option is not None else ""
    kind = _RETURN_TYPES.get(raw.lower())
    if kind is None or kind.value != raw:
        deviations.add(ContentDeviation.RETURN_TYPE)
    return kind or ReturnType.LEAF_CLASS


def _home(adhoc: etree._Element, deviations: Deviations) -> HomeCommunityId | None:
    """The home attribute; what is no HCID is kept, so that it is answered as unknown."""
    raw = limited(adhoc.get("home") or "", "AdhocQuery/@home")
    if not raw:
        return None
    try:
        home = home_community_id(raw)
    except WireError:
        home = HomeCommunityId(raw)
    if home != raw or not home.startswith("urn:oid:"):
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
    return home


# --- judging ----------------------------------------------------------------------------------


def check_stored_query(
    query: StoredQuery, homes: Collection[HomeCommunityId]
) -> tuple[RegistryError, ...]:
    """The errors that make a query fail as a whole; empty when it can be answered.

    Args:
        query: as parsed.
        homes: the HCIDs this gateway answers for. ``location`` stays empty: the builder of the
            answer fills in the gateway's own.

    Returns:
        ``XDSUnknownStoredQuery``; ``XDSMissingHomeCommunityId`` for a query by id without home;
        ``XDSUnknownCommunity`` for a home that is not ours; ``XDSStoredQueryMissingParam``;
        ``XDSStoredQueryParamNumber`` for slots that stand too often, several values where one
        belongs, and codes without scheme; ``XDSRegistryError`` for ids and times in a wrong form.
    """
    known = catalogue().queries.get(query.id)
    if known is None:
        return (RegistryError(code="XDSUnknownStoredQuery", context="Unknown stored query id."),)
    if query.home is None and known.home:
        return (
            RegistryError(
                code="XDSMissingHomeCommunityId",
                context=f"{known.name} needs the home attribute on AdhocQuery.",
            ),
        )
    if query.home is not None and not any(same_community(query.home, home) for home in homes):
        return (
            RegistryError(
                code="XDSUnknownCommunity", context="The home community is not one of this gateway."
            ),
        )
    return (*_missing(query, known), *_wrong_number(query), *_wrong_form(query))


def _missing(query: StoredQuery, known: Query) -> Iterator[RegistryError]:
    for name in known.required:
        if not query.values(name):
            yield RegistryError(
                code="XDSStoredQueryMissingParam", context=f"{known.name} needs {name}."
            )
    given = [name for name in known.one_of if query.occurrences(name)]
    if known.one_of and not any(query.values(name) for name in known.one_of):
        yield RegistryError(
            code="XDSStoredQueryMissingParam",
            context=f"{known.name} needs one of {', '.join(known.one_of)}.",
        )
    elif len(given) > 1:
        yield RegistryError(
            code="XDSStoredQueryParamNumber",
            context=f"{known.name} takes only one of {', '.join(known.one_of)}.",
        )


def _wrong_number(query: StoredQuery) -> Iterator[RegistryError]:
    for name in dict.fromkeys(name for name, _ in query.parameters):
        parameter = catalogue().parameters.get(name)
        if parameter is None:
            continue  # ITI TF-2 3.18.4.1.2.3.5: unknown parameters are ignored
        if not parameter.repeat and len(query.occurrences(name)) > 1:
            yield RegistryError(
                code="XDSStoredQueryParamNumber", context=f"{name} stands more than once."
            )
        elif not parameter.many and len(query.values(name)) > 1:
            yield RegistryError(
                code="XDSStoredQueryParamNumber", context=f"{name} takes only one value."
            )
        elif parameter.kind == "code" and not all(map(_is_coded, query.values(name))):
            yield RegistryError(
                code="XDSStoredQueryParamNumber",
                context=f"{name} takes values of the form code^^scheme.",
            )


def _wrong_form(query: StoredQuery) -> Iterator[RegistryError]:
    for name in dict.fromkeys(name for name, _ in query.parameters):
        parameter = catalogue().parameters.get(name)
        kind = parameter.kind if parameter is not None else ""
        values = query.values(name)
        if kind == "patient" and not all(map(_is_cx, values)):
            yield RegistryError(
                code="XDSRegistryError", context=f"{name} is not of the form id^^^&oid&ISO."
            )
        elif kind == "time" and not all(value.isdigit() and parse_time(value) for value in values):
            yield RegistryError(
                code="XDSRegistryError", context=f"{name} is not of the form YYYYMMDDhhmmss."
            )


def _is_coded(value: str) -> bool:
    code, _, scheme = value.partition("^^")
    return bool(code) and bool(scheme) and "^" not in scheme


def _is_cx(value: str) -> bool:
    try:
        parse_cx(value)
    except WireError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What ``$targetCommunityIdList`` asks for.

    Attributes:
        homes: those of ours that are asked; all of ours when the parameter is absent or empty.
        errors: ``XDSUnknownCommunity`` for each that is not ours: with ``homes`` the answer is a
            PartialSuccess, without a Failure.
        query: the query without the parameter.
    """

    homes: tuple[HomeCommunityId, ...]
    errors: tuple[RegistryError, ...]
    query: StoredQuery


def target_communities(query: StoredQuery, homes: Collection[HomeCommunityId]) -> Targets:
    """Split the communities a query is meant for into ours and unknown ones."""
    asked = tuple(dict.fromkeys(query.values(_TARGETS)))
    rest = replace(
        query, parameters=tuple(pair for pair in query.parameters if pair[0] != _TARGETS)
    )
    if not asked:
        return Targets(homes=tuple(homes), errors=(), query=rest)
    ours = tuple(home for home in homes if any(same_community(home, value) for value in asked))
    unknown = [value for value in asked if not any(same_community(home, value) for home in homes)]
    return Targets(
        homes=ours,
        errors=tuple(
            RegistryError(
                code="XDSUnknownCommunity",
                context=f"A community in {_TARGETS} is not one of this gateway.",
            )
            for _ in unknown
        ),
        query=rest,
    )
