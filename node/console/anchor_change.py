"""Trusting a CA, or not any more, once a second person has approved it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from node.console.case_forms import actor_of
from node.console.parts import Visit
from node.governance.case_model import Refusal
from node.governance.two_person_model import Request
from node.ledger.trust_change import Made, TrustChange
from node.trust_changes import of_anchor, revocation_words
from trust.anchors import Anchor, add_anchor, find_anchor, remove_anchor
from trust.certificates import describe, parse_certificates
from trust.chain import check_anchor
from trust.errors import TrustError
from trust.revocation_policy import ANCHOR_DEFAULT
from trust.usages import Usage

ADD: Final = "anchor-add"
REMOVE: Final = "anchor-remove"


def add(visit: Visit, request: Request, what: Mapping[str, Any]) -> Refusal | None:
    """Trust the CA that was approved.

    Raises:
        TrustError: as ``add_anchor``; the approval is used up only where the CA can be added.
    """
    home, (certificate,) = visit.console.home, parse_certificates(what["certificate"].encode())
    finding = check_anchor(certificate, now=visit.now)
    if finding is not None:
        raise TrustError("anchor-refused", finding.sentence, detail=finding.code)
    uses = tuple(Usage(use) for use in what["uses"])
    change = TrustChange(
        act=ADD,
        thing=describe(certificate).fingerprint,
        uses=tuple(map(str, uses)),
        private={
            "label": what["label"],
            "network": what["network"],
            "revocation": revocation_words(ANCHOR_DEFAULT),
            **_asked(request),
        },
    )
    with visit.console.recorder(visit.user).change(change) as made:
        refusal = _taken(visit, request, what, made)
        if refusal is None:
            add_anchor(
                home.anchors,
                certificate,
                label=what["label"],
                network=what["network"],
                now=visit.now,
                uses=uses,
            )
    return refusal


def remove(visit: Visit, request: Request, what: Mapping[str, Any]) -> Refusal | None:
    """Stop trusting the CA that was approved.

    Raises:
        TrustError: as ``find_anchor`` and ``remove_anchor``.
    """
    anchor = find_anchor(visit.console.home.anchors, what["fingerprint"])
    change = _with(of_anchor(REMOVE, anchor), request)
    with visit.console.recorder(visit.user).change(change) as made:
        refusal = _taken(visit, request, what, made)
        if refusal is None:
            remove_anchor(visit.console.home.anchors, anchor.fingerprint)
    return refusal


def what_of(anchor: Anchor) -> dict[str, object]:
    """What exactly is asked for, of an anchor that is to go."""
    return {
        "fingerprint": anchor.fingerprint,
        "subject": describe(anchor.certificate).subject,
        "label": anchor.label,
        "network": anchor.network,
        "uses": [str(use) for use in anchor.uses],
    }


def words_of(what: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What exactly is asked for, in words; the fingerprint is to be compared with the CA's."""
    return [
        ("Label", str(what.get("label"))),
        ("Subject", str(what.get("subject"))),
        ("Fingerprint, to be compared with the CA's own", str(what.get("fingerprint"))),
        ("Network", str(what.get("network"))),
        ("Vouches for", ", ".join(map(str, what.get("uses") or ()))),
    ]


def _taken(visit: Visit, request: Request, what: Mapping[str, Any], made: Made) -> Refusal | None:
    """Use the approval; why not, where it does not hold any more."""
    ruled = visit.console.two_person.take(
        request.number, request.verb, what, who=actor_of(visit).author, now=visit.now
    )
    if isinstance(ruled, Request):
        return None
    made.refuse(ruled.code if ruled else "request-missing")
    return ruled or Refusal(code="request-missing", sentence="There is no request.")


def _asked(request: Request) -> dict[str, object]:
    return {"asked_by": request.asker, "request": request.number}


def _with(change: TrustChange, request: Request) -> TrustChange:
    return replace(change, private={**change.private, **_asked(request)})
