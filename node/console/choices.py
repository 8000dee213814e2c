"""What a person keeps for themselves: saved views, columns of the list, single-key shortcuts."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from node.console.columns import ALL_COLUMNS, USUAL
from node.console.parts import Visit
from node.console.rendering import page, see
from node.console.sign_on import local_address
from node.errors import OurFault
from node.ledger.filter_text import from_query, to_query
from node.users.preferences import COLUMNS, SHORTCUTS

KEYS: Final = (
    ("/", "go to the search box"),
    ("j, k", "next and previous row"),
    ("Enter", "open the row"),
    ("x", "select the row; Shift+x from the last one to this one"),
    ("f", "flag the exchange, or the selected ones"),
    ("c", "comment on the case, or the selected ones"),
    ("a", "assign the case, or the selected ones"),
    ("e", "resolve the case, or the selected ones"),
    ("[, ]", "on an exchange's or a case's page: the previous and the next one of its list"),
    ("g then h, e, r, p or o", "go to Home, Exchanges, Review, Peers, Operations"),
    ("?", "this page"),
    ("Esc", "leave a field, or go back up"),
)


def choose_columns(visit: Visit) -> Response:
    """``POST /preferences/columns``."""
    chosen = [name for name in ALL_COLUMNS if f"column-{name}" in visit.form]
    value = "" if tuple(chosen) == USUAL or "usual" in visit.form else ",".join(chosen) or "-"
    visit.console.preferences.set(visit.user.login, COLUMNS, value)
    return see(local_address(visit.form.get("back", "/exchanges")))


def keys(visit: Visit) -> Response:
    """``GET /keys``: the help sheet, and the switch."""
    return page(visit, "keys.html", title="Keyboard", at="", keys=KEYS)


def choose_keys(visit: Visit) -> Response:
    """``POST /keys``: single keys on or off."""
    value = "off" if visit.form.get("to") == "off" else ""
    visit.console.preferences.set(visit.user.login, SHORTCUTS, value)
    return see("/keys")


def save_view(visit: Visit) -> Response:
    """``POST /views``: keep a filter under a name, or forget one.

    Raises:
        OurFault: for a filter that is not understood.
    """
    console, form = visit.console, visit.form
    if form.get("forget", "").isdecimal():
        console.views.forget(visit.user.login, int(form["forget"][:15]))
        return see(local_address(form.get("back", "/exchanges")))
    query = to_query(from_query(form.get("query", "")))
    try:
        console.views.save(
            visit.user.login, form.get("name", ""), query, shared="shared" in form, now=visit.now
        )
    except OurFault as fault:
        return page(
            visit,
            "problem.html",
            title="Not kept",
            at="/exchanges",
            status=400,
            sentence=fault.sentence,
            advice="Go back and change it.",
        )
    return see(f"/exchanges?{query}" if query else "/exchanges")
