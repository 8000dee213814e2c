"""Packets for inquiries, to take along: of a case, or of what a filter finds."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response

from node.console.case_filter import permitted
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS, page
from node.governance.case_reading import is_shown, read_file
from node.governance.evidence import of_case, of_filter
from node.governance.packet import Archive, Content, pack
from node.ledger import leaf
from node.ledger.filter_text import parse_filter
from node.ledger.leaf import Kind
from node.ledger.trust_change import TrustChange

_FOR: Final = ("inquiry", "peer")


def evidence_export(visit: Visit) -> Response:
    """``GET /cases/{number}/evidence``: a zip; that it was taken is an entry before it leaves.

    With ``peer`` in the query it is neutral, with the legs of that peer alone.
    """
    number = str(visit.request.path_params["number"])
    peer = visit.request.query_params.get("peer")
    if peer is not None and not leaf.fits("peer", peer):
        return _problem(visit, "A packet for a peer names the peer by its HCID.")
    console = visit.console
    found = read_file(console.engine, console.key, number)
    standing = console.cases.standing(number)
    if found is None or standing is None or not is_shown(standing, found.view.kind, visit.mark):
        return missing(visit, "There is no case with this number.")
    content = of_case(console.engine, found, peer=peer)
    # a neutral packet does not say in which case it was made, nor by whom
    name = "packet.zip" if peer else f"case-{found.view.number}.zip"
    return _taken(visit, content, name, about={"case": number}, peer=peer)


def packet_export(visit: Visit) -> Response:
    """``POST /packets``: the packet of what a filter finds.

    Raises:
        OurFault: ``filter-unreadable``.
    """
    form, console = visit.form, visit.console
    chosen = permitted(visit, parse_filter(f"{form.get('filter', '')} kind:{Kind.EXCHANGE.value}"))
    chosen = chosen.at(visit.now).tokenized(console.key)
    whom = form.get("for", "")
    if whom not in _FOR:
        return _problem(visit, "Choose whom the packet is for.")
    peers = chosen.peer.any_of if chosen.peer is not None else ()  # type: ignore[union-attr]
    if whom == "peer" and len(peers) != 1:
        return _problem(visit, "A packet for a peer needs a filter with that one peer.")
    peer = peers[0] if whom == "peer" else None
    content = of_filter(console.engine, chosen, console.key, peer=peer)
    if not content.rows:
        return _problem(visit, "No entry fits, so there is nothing to pack.")
    return _taken(visit, content, "packet.zip", about={"filter": content.about[0]}, peer=peer)


def _taken(
    visit: Visit, content: Content, name: str, *, about: dict[str, object], peer: str | None
) -> Response:
    console = visit.console
    by = console.own.name if peer else visit.user.login
    made: Archive = pack(content, console.packing, by=by, now=visit.now)
    private = about | {"proved": made.proved} | ({"peer": peer} if peer else {})
    console.recorder(visit.user).fact(
        TrustChange(
            act="case-export" if "case" in about else "packet-export",
            thing=made.digest,
            counts={"entries": made.entries},
            private=private,
        )
    )
    headers = {
        "content-disposition": f'attachment; filename="{re.sub(r"[^A-Za-z0-9.-]", "", name)}"',
        "cache-control": "no-store",
        **SECURITY_HEADERS,
    }
    return Response(made.data, media_type="application/zip", headers=headers)


def _problem(visit: Visit, sentence: str) -> Response:
    return page(
        visit,
        "problem.html",
        title="Not possible",
        at="/exports",
        status=400,
        sentence=sentence,
        advice="Go back and choose again.",
    )
