"""Words for codes: the same ones on every page (facts: governance-ux 4.1, 9)."""

from __future__ import annotations

from datetime import date
from typing import Final

from node.model import Outcome, Transaction

_OUTCOMES: Final = {
    Outcome.OK: "ok",
    Outcome.OK_EMPTY: "none held",
    Outcome.PARTIAL: "partial",
    Outcome.DECLINED: "declined",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.CANCELLED: "cancelled",
}
_TRANSACTIONS: Final = {
    Transaction.ITI_55.value: "Discovery",
    Transaction.ITI_38.value: "Document query",
    Transaction.ITI_39.value: "Document retrieve",
    Transaction.ITI_80.value: "Document delivery",
    "ITI-41": "Document delivery",
}
_SECOND: Final = 1000
_MINUTE: Final = 60 * _SECOND


def outcome_word(outcome: str) -> str:
    """``none held`` for ``ok-empty``, and so on."""
    return _OUTCOMES[Outcome(outcome)]


def transaction_word(transaction: str) -> str:
    """``Discovery`` for ``ITI-55``; a transaction without a word of its own is its code."""
    return _TRANSACTIONS.get(transaction, transaction)


def date_words(iso: str) -> str:
    """``28 Nov 2026`` for the day of an instant in ISO form."""
    return f"{date.fromisoformat(iso[:10]):%-d %b %Y}"


def took(milliseconds: int) -> str:
    """A duration: ``41 ms``, ``4.1 s``, ``2 min 05 s``."""
    if milliseconds < _SECOND:
        return f"{milliseconds} ms"
    if milliseconds < _MINUTE:
        return f"{milliseconds / _SECOND:.1f} s"
    minutes, rest = divmod(milliseconds // _SECOND, 60)
    return f"{minutes} min {rest:02} s"


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it has to be."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("ry") else f"{number:,} {noun}s"


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:  # noqa: PLR2004 - one needs no "and"
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
