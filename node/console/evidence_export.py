"""The evidence of a case, to take along."""

from __future__ import annotations

from starlette.responses import Response

from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS
from node.governance.case_reading import is_shown, read_file
from node.governance.evidence import archive
from node.ledger.trust_change import TrustChange


def evidence_export(visit: Visit) -> Response:
    """``GET /cases/{number}/evidence``: a zip; that it was taken is an entry before it leaves."""
    number = str(visit.request.path_params["number"])
    console = visit.console
    found = read_file(console.engine, console.key, number)
    standing = console.cases.standing(number)
    if found is None or standing is None or not is_shown(standing, found.view.kind, visit.mark):
        return missing(visit, "There is no case with this number.")
    made = archive(console.engine, found, prove=console.prove, by=visit.user.login, now=visit.now)
    console.recorder(visit.user).fact(
        TrustChange(
            act="case-export",
            thing=made.digest,
            counts={"entries": made.entries},
            private={"case": number, "proved": made.proved},
        )
    )
    headers = {
        "content-disposition": f'attachment; filename="case-{found.view.number}.zip"',
        "cache-control": "no-store",
        **SECURITY_HEADERS,
    }
    return Response(made.data, media_type="application/zip", headers=headers)
