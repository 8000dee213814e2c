"""How alike two sets of demographics are, by the rules of the patient index."""

from __future__ import annotations

from node.exchange.network_ports import Likeness
from node.model import Demographics
from node.records.matching import Verdict, score


def likeness(a: Demographics, b: Demographics) -> Likeness:
    """The matching's score as ``exchange.network_ports`` knows it."""
    found = score(a, b)
    return Likeness(
        percent=found.percent,
        is_certain=found.verdict is Verdict.CERTAIN,
        contradicts=found.verdict is Verdict.NO or bool(found.vetoes),
    )
