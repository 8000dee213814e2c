"""Messages of an entry as they were on the wire: shown for a reason, and each look is an entry."""

from __future__ import annotations

from collections.abc import Mapping

from node.cli.home import Stores
from node.cli.output import say
from node.cli.terminal import printable
from node.ledger.bodies import Body, has_bodies, load_capture_key, read_bodies
from node.ledger.find import Entry
from node.ledger.trust_change import TrustChange
from node.settings import NodeHome


def looked_at(stores: Stores, home: NodeHome, entry: Entry, reason: str) -> dict[str, Body]:
    """The messages that are kept of an entry; the log has that they were looked at.

    Raises:
        OurFault: ``trust-change-unrecorded``: nothing was opened.
            ``ledger-private-unreadable``: another key, or changed bytes.
    """
    if not has_bodies(stores.engine, entry.seq):
        return {}
    change = TrustChange(act="body-view", reason=reason, private={"entry": entry.seq})
    with stores.trust.change(change):
        key = load_capture_key(home.path)
        return read_bodies(stores.engine, key, entry.seq, entry.entry_id)


def plain_bodies(bodies: Mapping[str, Body]) -> dict[str, object]:
    """Messages as JSON has them; what is no UTF-8 is replaced."""
    return {
        part: {
            "bytes": body.length,
            "cut": body.is_cut,
            "text": body.data.decode("utf-8", "replace"),
        }
        for part, body in bodies.items()
    }


def say_bodies(bodies: Mapping[str, Body]) -> None:
    """Messages as people read them."""
    if not bodies:
        say("-- No message of this entry is kept as it was on the wire.")
    for part, body in bodies.items():
        cut = f", the first {len(body.data)} of them" if body.is_cut else ""
        say(f"-- {part} as it was on the wire, {body.length} bytes{cut}")
        say(printable(body.data.decode("utf-8", "replace")))
