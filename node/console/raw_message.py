"""A leg's messages as they were on the wire: shown to who may, has proved themselves and says why.

They are there only where the operator keeps them (``[capture]``), for some days, without documents.
The text stands escaped on the answer to a form, and in no address; what a message holds of
signatures is shown by fingerprint. Its beginning is shown, the whole can be saved as it was kept.
Each look, and each saving, is an entry of the log before anything leaves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree
from starlette.responses import Response

from node.console.guard import missing
from node.console.parts import Visit
from node.console.proof import unproved
from node.console.reader.files import file_response
from node.console.rendering import page
from node.console.revealing import LEAST_WHY, MOST_WHY
from node.errors import CodedError
from node.governance.case_model import Refusal
from node.governance.exchanges import Leg, read_exchange
from node.ledger.bodies import PARTS, Body, has_bodies, load_capture_key, read_bodies
from node.ledger.trust_change import TrustChange
from node.wire.xml import parse

MOST_SHOWN: Final = 7_000
"""Characters of one message that the page shows: XML grows by half when it is escaped."""

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SECRETS: Final = re.compile(
    r"(<(?:[\w.-]+:)?(?:SignatureValue|DigestValue|X509Certificate|Modulus|BinarySecurityToken)"
    r"(?:\s[^>]*)?>)([^<]*)(<|\Z)"
)
_UNREADABLE: Final = "The messages do not open: another key, or changed bytes. Run log fsck."


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message on the page: its length in bytes, how many are kept, and its beginning."""

    part: str
    length: int
    kept: int
    text: str
    is_whole: bool


def raw_message(visit: Visit) -> Response:
    """``GET`` and ``POST /exchanges/{id}/raw/{seq}``; a POST with ``save`` gives one part."""
    found = _leg(visit)
    if found is None:
        return missing(visit, "The exchange has no leg with this number.")
    if visit.request.method != "POST" or not has_bodies(visit.console.engine, found.entry.seq):
        return _page(visit, found)
    why = visit.form.get("why", "").strip()
    refusal = None
    if not LEAST_WHY <= len(why) <= MOST_WHY:
        sentence = f"Write {LEAST_WHY} to {MOST_WHY} characters on why; this has {len(why)}."
        refusal = Refusal(code="text-length", sentence=sentence, field="why")
    refusal = refusal or unproved(visit)
    return _page(visit, found, refusal) if refusal else _shown(visit, found, why)


def _shown(visit: Visit, leg: Leg, why: str) -> Response:
    """The messages, or one as a file, once the look at them is entered."""
    console, save = visit.console, visit.form.get("save", "")
    way = save if save in PARTS else "page"
    seq = leg.entry.seq
    console.recorder(visit.user).fact(
        TrustChange(
            act="body-view",
            home_community_id=leg.text("peer"),
            private={"entry": seq, "exchange": leg.text("exch"), "why": why, "way": way},
        )
    )
    try:
        key = load_capture_key(console.home.path)
        bodies = read_bodies(console.engine, key, seq, leg.entry.entry_id)
    except CodedError:
        return missing(visit, _UNREADABLE)
    if way in bodies:
        return file_response(bodies[way].data, f"{way}-{seq}")
    return _page(visit, leg, shown=bodies, why=why)


def _leg(visit: Visit) -> Leg | None:
    """The leg of the page's address, if it is one of this exchange."""
    path = visit.request.path_params
    exchange_id, seq = str(path["exchange_id"]), str(path["seq"])
    if not _ID.fullmatch(exchange_id) or not re.fullmatch(r"[0-9]{1,15}", seq, re.ASCII):
        return None
    exchange = read_exchange(visit.console.engine, visit.console.key, exchange_id)
    legs = exchange.legs if exchange else ()
    return next((leg for leg in legs if leg.entry.seq == int(seq)), None)


def _page(
    visit: Visit,
    leg: Leg,
    problem: Refusal | None = None,
    *,
    shown: Mapping[str, Body] | None = None,
    why: str = "",
) -> Response:
    return page(
        visit,
        "raw-message.html",
        title="Messages as they were",
        at="/exchanges",
        status=200 if problem is None else 400,
        leg=leg,
        exchange_id=leg.text("exch"),
        peer=visit.console.peer_name(leg.text("peer") or "") or leg.text("peer") or "nobody known",
        kept=has_bodies(visit.console.engine, leg.entry.seq),
        problem=problem,
        messages=None if shown is None else [_message(part, b) for part, b in shown.items()],
        typed_why=why or (visit.form.get("why", "")[:MOST_WHY] if problem else ""),
        least=LEAST_WHY,
        most=MOST_WHY,
    )


def _message(part: str, body: Body) -> Message:
    text = without_secrets(_pretty(body))
    return Message(
        part=part,
        length=body.length,
        kept=len(body.data),
        text=text[:MOST_SHOWN],
        is_whole=len(text) <= MOST_SHOWN and not body.is_cut,
    )


def _pretty(body: Body) -> str:
    """XML indented; what is cut, or none, as it is."""
    if not body.is_cut:
        try:
            root = parse(body.data)
        except CodedError:
            pass
        else:
            etree.indent(root)
            return etree.tostring(root, encoding="unicode")
    return body.data.decode("utf-8", "replace")


def without_secrets(text: str) -> str:
    """Signatures, certificates and keys by the SHA-256 of what stood there."""

    def fingerprint(found: re.Match[str]) -> str:
        value = "".join(found[2].split())
        if not value:
            return found[0]
        digest = hashlib.sha256(value.encode()).hexdigest()[:16]
        return f"{found[1]}[SHA-256 {digest}, {len(value)} characters]{found[3]}"

    return _SECRETS.sub(fingerprint, text)
