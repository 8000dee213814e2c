"""Registry errors and statuses: element ⇄ value, and the merge of several communities' answers.

Errors are found wherever partners put them (after the object list, in a wrong namespace, as an
empty text) and unknown codes are carried through. ``merge_answers`` is the rule of the initiating
gateway: no error is dropped, a silent community is ``XDSUnavailableCommunity``.

``codeContext`` is the peer's free text: it may hold what the peer knows of the patient, so it
belongs into answers and private records, never into logs.

Source: ITI TF-3 4.2.4; ITI TF-2 3.38.4.1.3; facts ihe-wire 3.3, 6, 13.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources

from lxml import etree

from node.errors import LimitError
from node.model import (
    HomeCommunityId,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    Severity,
)
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import add, grouped, limited
from node.wire.identifiers import home_community_id, is_oid
from node.wire.names import RS
from node.wire.xml import children, local_name, namespace, text

__all__ = [
    "build_errors",
    "known_codes",
    "merge_answers",
    "parse_errors",
    "parse_status",
    "settle_status",
]

_MAX_ERRORS = 1000
_STATUS = {status.value.rpartition(":")[2].lower(): status for status in ResponseStatus}
_STATUSES = frozenset(ResponseStatus)
_SEVERITY = {severity.value.rpartition(":")[2].lower(): severity for severity in Severity}
_SEVERITIES = frozenset(Severity)


@lru_cache(maxsize=1)
def known_codes() -> frozenset[str]:
    """The error codes of the IHE tables."""
    source = resources.files("node.wire").joinpath("data/registry_errors.toml").read_text("utf-8")
    return frozenset(code for codes in tomllib.loads(source)["codes"].values() for code in codes)


# --- writing ----------------------------------------------------------------------------------


def build_errors(
    parent: etree._Element, errors: Sequence[RegistryError], *, location: str | None = None
) -> None:
    """Append a RegistryErrorList, nothing when there are no errors.

    Args:
        parent: the response element.
        errors: in order.
        location: HCID for errors that name none (in XCA it is the gateway that made the error).
    """
    if not errors:
        return
    highest = min((error.severity for error in errors), key=list(Severity).index)
    container = add(parent, f"{{{RS}}}RegistryErrorList", highestSeverity=highest.value)
    for error in errors:
        add(
            container,
            f"{{{RS}}}RegistryError",
            errorCode=error.code,
            codeContext=error.context,
            severity=error.severity.value,
            location=error.location or location,
        )


# --- reading ----------------------------------------------------------------------------------


def parse_errors(parent: etree._Element, deviations: Deviations) -> tuple[RegistryError, ...]:
    """All errors in the RegistryErrorLists among an element's children, in any namespace.

    Raises:
        LimitError: ``too-many-values`` past 1,000 errors, ``value-too-long``.
    """
    errors: list[RegistryError] = []
    objects_seen = False
    for container in children(parent):
        name = local_name(container)
        objects_seen = objects_seen or name == "RegistryObjectList"
        if name != "RegistryErrorList":
            continue
        if namespace(container) != RS:
            deviations.add(ContentDeviation.ERROR_LIST_NAMESPACE)
        if objects_seen:
            deviations.add(ContentDeviation.ERROR_LIST_ORDER)
        elements = grouped(container).get("RegistryError", ())
        if not elements:
            deviations.add(ContentDeviation.ERROR_LIST_TEXT)
            content = limited(text(container) or "", "RegistryErrorList")
            if content:
                errors.append(RegistryError(code="XDSRegistryError", context=content))
        if len(errors) + len(elements) > _MAX_ERRORS:
            raise LimitError(
                "too-many-values",
                f"The answer has more than {_MAX_ERRORS} registry errors.",
                where="RegistryErrorList",
            )
        errors.extend(_error(element, deviations) for element in elements)
    return tuple(errors)


def _error(element: etree._Element, deviations: Deviations) -> RegistryError:
    code = limited(element.get("errorCode") or "", "errorCode")
    if not code:
        deviations.add(ContentDeviation.ERROR_CODE_MISSING)
        code = "XDSRegistryError"
    elif code not in known_codes():
        deviations.add(ContentDeviation.ERROR_CODE_UNKNOWN)
    raw = limited(element.get("severity") or "", "severity")
    severity = _SEVERITY.get(raw.rpartition(":")[2].lower(), Severity.ERROR)
    if raw not in _SEVERITIES:
        deviations.add(ContentDeviation.ERROR_SEVERITY)
    location = limited(element.get("location") or "", "location") or None
    if location is None or not _is_home(location):
        deviations.add(ContentDeviation.ERROR_LOCATION)
    context = limited(element.get("codeContext") or "", "codeContext")
    content = limited(text(element) or "", "RegistryError")
    return RegistryError(
        code=code,
        context=context or content,
        severity=severity,
        location=location,
    )


def _is_home(location: str) -> bool:
    urn = location[:8].lower() == "urn:oid:" and len(location) <= 64  # noqa: PLR2004 - TF-3 4.2.3.2.12
    return urn and is_oid(location[8:])


def parse_status(element: etree._Element, deviations: Deviations) -> ResponseStatus | None:
    """The status by its last field (partners mix the oasis and ihe prefixes), or ``None``.

    An unknown status is a Failure, and counted.
    """
    raw = limited(element.get("status") or "", "status")
    if not raw:
        deviations.add(ContentDeviation.STATUS_MISSING)
        return None
    status = _STATUS.get(raw.rpartition(":")[2].lower())
    if status is None:
        deviations.add(ContentDeviation.STATUS_UNKNOWN)
        return ResponseStatus.FAILURE
    if raw not in _STATUSES:
        deviations.add(ContentDeviation.STATUS_PREFIX)
    return status


def settle_status(
    stated: ResponseStatus | None,
    errors: Sequence[RegistryError],
    *,
    has_data: bool,
    deviations: Deviations,
) -> ResponseStatus:
    """The status that the content allows: a Success with errors is never taken as one."""
    failed = any(error.severity is Severity.ERROR for error in errors)
    if stated is None or (stated is ResponseStatus.SUCCESS and failed):
        if stated is not None:
            deviations.add(ContentDeviation.STATUS_CONFLICT)
        if not failed:
            return ResponseStatus.SUCCESS
        return ResponseStatus.PARTIAL_SUCCESS if has_data else ResponseStatus.FAILURE
    if stated is ResponseStatus.FAILURE and (has_data or not errors):
        deviations.add(ContentDeviation.STATUS_CONFLICT)
        return ResponseStatus.PARTIAL_SUCCESS if has_data else ResponseStatus.FAILURE
    return stated


# --- merging ----------------------------------------------------------------------------------


def merge_answers(
    branches: Sequence[tuple[HomeCommunityId, QueryAnswer | None]],
) -> QueryAnswer:
    """One answer from those of several communities (facts ihe-wire 6).

    All Success is Success; any error beside any success or data is PartialSuccess with every error,
    its ``location`` the community it came from; all failed is Failure.

    Args:
        branches: each community asked with its answer, ``None`` for one that did not answer.
    """
    errors: list[RegistryError] = []
    succeeded = failed = False
    for home, answer in branches:
        if answer is None:
            failed = True
            errors.append(
                RegistryError(
                    code="XDSUnavailableCommunity",
                    context="The community did not answer.",
                    location=home,
                )
            )
            continue
        errors.extend(_located(error, home) for error in answer.errors)
        has_data = bool(answer.documents or answer.refs)
        severe = any(error.severity is Severity.ERROR for error in answer.errors)
        failed = failed or severe or answer.status is not ResponseStatus.SUCCESS
        succeeded = succeeded or has_data or answer.status is not ResponseStatus.FAILURE
    if not failed:
        status = ResponseStatus.SUCCESS
    else:
        status = ResponseStatus.PARTIAL_SUCCESS if succeeded else ResponseStatus.FAILURE
    answers = [answer for _, answer in branches if answer is not None]
    return QueryAnswer(
        status=status,
        documents=tuple(document for answer in answers for document in answer.documents),
        refs=tuple(ref for answer in answers for ref in answer.refs),
        errors=tuple(errors),
    )


def _located(error: RegistryError, home: HomeCommunityId) -> RegistryError:
    # A gateway of several nodes names the node; anything else (a class name, nothing) is replaced.
    if error.location and _is_home(error.location):
        return replace(error, location=home_community_id(error.location))
    return replace(error, location=home)
