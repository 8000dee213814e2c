"""The Trust page: what we are known by, whom we accept, what runs out, what was changed lately."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding
from starlette.responses import Response

from node.console.anchor_change import ADD, REMOVE, what_of
from node.console.calendar_drawing import Span, calendar_chart
from node.console.case_words import Clock
from node.console.parts import Visit
from node.console.peer_list import end_clock
from node.console.rendering import page, see
from node.console.rotation import rotation
from node.console.second_person import ask
from node.expiry_calendar import expiring
from node.governance.case_model import Refusal
from node.governance.changes import DECIDED, changes
from node.identity import all_identities, network_anchors
from node.identity_store import versions
from node.ledger import leaf
from node.listed_facts import listed_facts
from node.settings import NodeHome
from node.stored_crls import stored_crls
from trust.anchors import ALL_USES, Anchor, find_anchor, new_anchor
from trust.certificates import describe, parse_certificates
from trust.errors import TrustError
from trust.expiry import Due, Expiring, Kind, Owner, calendar
from trust.lifecycle import GONE, Records

_CHANGES: Final = 20
_ANCHOR_ACTS: Final = ("anchor-add", "anchor-take")
_ANCHOR_ENTRIES: Final = 50
_MOST: Final = {Owner.OURS: 40, Owner.NETWORK: 20, Owner.PEER: 20}
"""Things that the calendar shows of each owner, those that end first."""

_OWNERS: Final = {
    Owner.OURS: "Ours",
    Owner.NETWORK: "Network",
    Owner.PEER: "Peers, next to end",
}

T = TypeVar("T")


def trust(visit: Visit, asking: Refusal | None = None) -> Response:
    """``GET /trust``; ``asking`` is why a second person was not asked."""
    console, now = visit.console, visit.now
    faults: list[str] = []

    def read(what: Callable[[], T]) -> T | None:
        """What cannot be read is said at the top; the rest of the page stands."""
        try:
            return what()
        except TrustError as error:
            faults.append(error.sentence)
            return None

    dues = read(lambda: calendar(expiring(console.home, now=now), now=now)) or ()
    shown = _shown(dues)
    crls = stored_crls(console.home)
    kept = read(lambda: _versions(console.home, now)) or {}
    return page(
        visit,
        "trust.html",
        title="Trust",
        at="/trust",
        status=400 if asking else 200,
        asking=asking,
        typed=defaultdict(str, visit.form),
        all_uses=[str(use) for use in ALL_USES],
        due=[each for each in dues if not each.in_order],
        things=len(dues),
        end_clock=end_clock,
        words=thing_words,
        groups=shown,
        left_out=len(dues) - sum(len(rows) for _, rows in shown),
        chart=calendar_chart(_spans(shown), now=visit.shown(now)) if dues else None,
        identities=_identities(kept),
        rotations=[each for role, of in kept.items() if (each := rotation(role, of)) is not None],
        anchors=read(lambda: _anchors(visit)) or (),
        crls=[(each, _crl_clock(each.next_update, now)) for each in crls],
        listed=read(lambda: listed_facts(console.home)),
        sources=console.directory.sources(),
        changes=changes(console.engine, console.key, limit=_CHANGES, acts=DECIDED),
        faults=list(dict.fromkeys(faults)),
    )


def anchor_ask(visit: Visit) -> Response:
    """``POST /trust/anchors``: ask a second person to trust a CA, or to stop trusting one."""
    form = visit.form
    try:
        verb, what = (
            (REMOVE, what_of(find_anchor(visit.console.home.anchors, form.get("fingerprint", ""))))
            if form.get("do") == "remove"
            else (ADD, _typed(visit))
        )
    except TrustError as error:
        return trust(visit, Refusal(code=error.code, sentence=error.sentence, field="text"))
    asked = ask(visit, verb, what, str(what["fingerprint"]))
    return trust(visit, asked) if isinstance(asked, Refusal) else see(f"/requests/{asked.number}")


def _typed(visit: Visit) -> dict[str, object]:
    """The CA of the form.

    Raises:
        TrustError: for what is no single CA certificate that is valid now, and as ``new_anchor``.
    """
    found = parse_certificates(visit.form.get("certificate", "").encode())
    if len(found) != 1:
        raise TrustError("anchor-refused", "Paste exactly one certificate, in PEM.")
    described = describe(found[0])
    uses = tuple(use for use in ALL_USES if f"use-{use}" in visit.form)
    anchor = new_anchor(
        found[0],
        label=visit.form.get("label", "").strip() or described.common_name or described.subject,
        network=visit.form.get("network", "").strip() or "tefca",
        now=visit.now,
        uses=uses,
    )
    if any(each.fingerprint == anchor.fingerprint for each in network_anchors(visit.console.home)):
        raise TrustError("anchor-exists", "This CA is trusted already.")
    pem = found[0].public_bytes(Encoding.PEM).decode()
    return {**what_of(anchor), "certificate": pem}


def _shown(dues: Sequence[Due]) -> list[tuple[str, list[Due]]]:
    groups = [
        (words, [each for each in dues if each.item.owner is owner][: _MOST[owner]])
        for owner, words in _OWNERS.items()
    ]
    return [(words, rows) for words, rows in groups if rows]


_BEFORE_NAME: Final = {
    Kind.PEER: "certificate of ",
    Kind.SHOWN: "certificate of ",
    Kind.LISTED_KEY: "listed key of ",
    Kind.LOG_KEY: "key ",
    Kind.NETWORK_ROLE: "list role ",
    Kind.CRL: "",
}


def thing_words(item: Expiring) -> str:
    """What it is and which one."""
    return f"{_BEFORE_NAME.get(item.kind, f'{item.kind} ')}{item.name}"


def _spans(groups: Sequence[tuple[str, Sequence[Due]]]) -> list[Span]:
    spans = []
    for words, rows in groups:
        spans.append(Span(name=words))
        for due in rows:
            item, clock = due.item, end_clock(due)
            spans.append(
                Span(
                    name=thing_words(item),
                    begins=item.not_after - item.lifetime if item.lifetime else None,
                    ends=item.not_after,
                    words=clock.words if clock else "",
                    mark=clock.mark if clock else "",
                )
            )
    return spans


def _versions(home: NodeHome, now: datetime) -> dict[str, Records]:
    """The versions of every role."""
    return {str(role): versions(home, role, now=now) for role in all_identities(home)}


def _identities(kept: Mapping[str, Records]) -> list[Mapping[str, Any]]:
    """Each version that still has a key, the one in use and those before and after it."""
    return [
        {
            "role": role,
            "version": record.version,
            "state": record.state.value,
            "since": record.since,
            "ends": record.not_after,
            "key": record.spki_sha256 or "",
        }
        for role, records in kept.items()
        for record in records
        if record.state not in GONE
    ]


def _anchors(visit: Visit) -> list[Mapping[str, Any]]:
    console = visit.console
    found = network_anchors(console.home)
    noted = changes(console.engine, console.key, limit=_ANCHOR_ENTRIES, acts=_ANCHOR_ACTS)
    who = {leaf.to_bytes(each.thing).hex(): each.who for each in noted if each.thing}
    return [
        {
            "anchor": each,
            "uses": ", ".join(each.uses),
            "origins": _origins(each),
            "who": who.get(each.fingerprint, ""),
            "revocation": each.revocation.policy.value,
            "ends": each.certificate.not_valid_after_utc,
        }
        for each in found
    ]


def _origins(anchor: Anchor) -> str:
    found = (("this node", anchor.local), ("the network list", anchor.listed))
    return " and ".join(words for words, is_so in found if is_so)


def _crl_clock(next_update: datetime | None, now: datetime) -> Clock:
    if next_update is None:
        return Clock(words="does not say", level="", mark="")
    if next_update <= now:
        return Clock(words="late", level="late", mark="failed")
    left = next_update - now
    return Clock(words=f"{left.days} d" if left.days else "under a day", level="", mark="")
