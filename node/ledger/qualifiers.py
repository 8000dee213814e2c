"""The qualifiers: every condition that a filter of the log may have, one row for each.

A row says how the condition is typed (``peer:2.999.2``), what its values are and how they are kept,
its words in a sentence, and the index that serves it: a condition without an index is not offered
(a test reads the query plans on both engines). The command line makes its options from this table;
the console and the API will make their forms from it.

Only qualifiers with a closed set of values can be excluded (``-outcome:ok``): what is left is then
a few values of the same index. "Any peer but this one" would be a walk along all the others.

Pure: times are arguments elsewhere, nothing is read but the tables of codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as of
from difflib import get_close_matches
from typing import Final

from node.errors import OurFault, WireError
from node.ledger import leaf
from node.ledger.leaf import Kind
from node.ledger.trust_change import acts
from node.model import Authorization, Direction, Interaction, Outcome, Transaction
from node.wire.identifiers import home_community_id, parse_cx

MAX_VALUES: Final = 20
"""Values of one qualifier; each is a part of the query of its own."""

MAX_LENGTH: Final = 512
"""Characters of one value."""

TOKEN: Final = re.compile(r"~[0-9a-f]{32}")
"""The form of a keyed token, which stands for a value about a person where that may not be."""


MARK: Final = re.compile(r"[a-z][a-z0-9.-]{0,63}", re.ASCII)
"""The form of a leg's mark: a row of ``governance/data/marks.toml``, or a deviation's name."""

CASE_NUMBER: Final = re.compile(r"(?:case[- ]?)?([0-9]{4}-[0-9]{4,9})", re.ASCII | re.IGNORECASE)
"""How a case is called: by its number, with or without the word before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualifier:
    """One row.

    Attributes:
        name: as typed.
        field: of ``LedgerFilter``.
        words: of a sentence; ``{}`` are the values.
        excluding: the same when the values are excluded; empty where they cannot be.
        help: what a value is, in a few words.
        index: that serves it: of ``ledger_entry``, or ``token``.
        column: of ``ledger_entry``; ``None`` where entries are found by a token or a case.
        values: all there are, where the set is closed.
        aliases: other names.
        value_aliases: other words for values of a closed set.
        open_excluding: entries are found by a table of rows, so an open value can be excluded too.
        read: the canonical form of an open value; raises ``ValueError`` with a sentence.
        personal: a value is about a person: it is found by a keyed token, and never repeated.
    """

    name: str
    field: str
    words: str
    help: str
    index: str
    excluding: str = ""
    column: str | None = None
    values: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    value_aliases: Mapping[str, str] = of(default_factory=dict)
    open_excluding: bool = False
    read: Callable[[str], str] = str
    personal: bool = False

    def value(self, text: str) -> str:
        """The canonical form of one value.

        Raises:
            OurFault: ``filter-unreadable``. The sentence repeats a value only of a closed set.
        """
        if self.personal and TOKEN.fullmatch(text):
            return text
        if not text or len(text) > MAX_LENGTH:
            raise unreadable(f"A value of {self.name} has 1 to {MAX_LENGTH} characters.")
        if not self.values:
            try:
                return self.read(text)
            except ValueError as error:
                raise unreadable(f"{self.name}: {error}") from None
            except WireError as error:
                raise unreadable(f"{self.name}: {error.sentence}") from None
        word = self.value_aliases.get(text.lower(), text)
        for each in self.values:
            if each.lower() == word.lower():
                return each
        known = (*self.values, *self.value_aliases)
        raise unreadable(
            f'{self.name} has no value "{text[:40]}"{nearest(text, known)}.'
            f" There are: {', '.join(self.values)}."
        )


def unreadable(sentence: str) -> OurFault:
    """The error of a filter that is not understood."""
    return OurFault("filter-unreadable", sentence)


def nearest(word: str, known: tuple[str, ...]) -> str:
    """``; did you mean …?`` when one of the known words is near."""
    found = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _code(name: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not leaf.fits(name, text):
            raise ValueError("This is no code that an entry can have.")
        return text

    return read


def _uuid(text: str) -> str:
    if not leaf.fits("id", text.lower()):
        raise ValueError("This is no UUID.")
    return text.lower()


def _message(text: str) -> str:
    """A message id in the form of a leaf; any other is kept as it is, and found by its token."""
    for form in (text.lower(), f"urn:uuid:{text.lower()}"):
        if leaf.fits("msg", form):
            return form
    return text


def _related(text: str) -> str:
    found = _message(text)
    if not leaf.fits("rel", found):
        raise ValueError("This is no message id of the form urn:uuid:….")
    return found


def _mark(text: str) -> str:
    if not MARK.fullmatch(text):
        raise ValueError("This is no mark of a leg, such as tls-problem.")
    return text


def _case(text: str) -> str:
    found = CASE_NUMBER.fullmatch(text)
    if not found:
        raise ValueError("This is no number of a case, such as 2026-0143.")
    return found[1]


_ROWS: Final = (
    Qualifier(
        name="peer",
        field="peer",
        words="with the peer {}",
        help="Home community id of the other side.",
        index="ix_ledger_entry_peer",
        column="peer",
        aliases=("hcid",),
        read=home_community_id,
    ),
    Qualifier(
        name="kind",
        field="kind",
        words="of the kind {}",
        excluding="not of the kind {}",
        help="What the entries are about.",
        index="ix_ledger_entry_kind",
        column="kind",
        values=tuple(Kind),
    ),
    Qualifier(
        name="act",
        field="act",
        words="of the act {}",
        help="What was changed in our trust, or done with the log, e.g. anchor-add.",
        index="ix_ledger_entry_txn",
        column="txn",
        values=tuple(acts()),
    ),
    Qualifier(
        name="transaction",
        field="transaction",
        words="of the transaction {}",
        excluding="of another transaction than {}",
        help="What was asked.",
        index="ix_ledger_entry_txn",
        column="txn",
        values=(*Transaction, *Interaction, *Authorization),
        aliases=("txn",),
    ),
    Qualifier(
        name="outcome",
        field="outcome",
        words="that ended {}",
        excluding="that did not end {}",
        help="How it ended.",
        index="ix_ledger_entry_outcome",
        column="outcome",
        values=tuple(Outcome),
    ),
    Qualifier(
        name="direction",
        field="direction",
        words="where we were {}",
        excluding="where we were not {}",
        help="Which side we were.",
        index="ix_ledger_entry_direction",
        column="direction",
        values=tuple(Direction),
        aliases=("dir",),
        value_aliases={
            "in": Direction.RESPONDING,
            "inbound": Direction.RESPONDING,
            "out": Direction.INITIATING,
            "outbound": Direction.INITIATING,
        },
    ),
    Qualifier(
        name="purpose",
        field="purpose",
        words="for the purpose {}",
        help="Exchange purpose code.",
        index="ix_ledger_entry_purpose",
        column="purpose",
        read=_code("purpose"),
    ),
    Qualifier(
        name="reason",
        field="reason",
        words="with the reason {}",
        help="Reason code.",
        index="ix_ledger_entry_reason",
        column="reason",
        read=_code("reason"),
    ),
    Qualifier(
        name="mark",
        field="mark",
        words="marked {}",
        excluding="not marked {}",
        help="Mark of a leg, e.g. tls-problem, or a deviation's name; kept log.tally_days.",
        index="mark",
        open_excluding=True,
        read=_mark,
    ),
    Qualifier(
        name="exchange",
        field="exchange_id",
        words="of the exchange {}",
        help="Exchange id.",
        index="ix_ledger_entry_exchange_id",
        column="exchange_id",
        read=_uuid,
    ),
    Qualifier(
        name="case",
        field="case",
        words="in the case {}",
        help="Number of a case, such as 2026-0143.",
        index="ix_ledger_entry_exchange_id",
        read=_case,
    ),
    Qualifier(
        name="message",
        field="message_id",
        words="with the message id {}",
        help="WS-Addressing message id.",
        index="ix_ledger_entry_msg",
        column="msg",
        aliases=("msg",),
        read=_message,
    ),
    Qualifier(
        name="relates-to",
        field="relates_to",
        words="in answer to the message {}",
        help="Message id of the question that was answered.",
        index="ix_ledger_entry_rel",
        column="rel",
        aliases=("rel",),
        read=_related,
    ),
    Qualifier(
        name="patient",
        field="patient",
        words="about the patient {}",
        help="Patient id, id^^^&oid&ISO.",
        index="token",
        personal=True,
        read=lambda text: parse_cx(text).cx,
    ),
    Qualifier(
        name="user",
        field="user",
        words="of the user {}",
        help="Id of the user who asked, or who changed our trust.",
        index="token",
        aliases=("actor",),
        personal=True,
    ),
    Qualifier(
        name="document",
        field="document",
        words="about the document {}",
        help="Document unique id.",
        index="token",
        aliases=("doc",),
        personal=True,
    ),
)

QUALIFIERS: Final[Mapping[str, Qualifier]] = {row.name: row for row in _ROWS}
"""All rows by name, in the order of the canonical text. ``TIMES`` are two more."""

TIMES: Final[Mapping[str, str]] = {
    "since": "Begun at or after: 24h, 7d (h, m, d, w), or a date or date and time (UTC).",
    "until": "Begun before, in the same forms.",
}
"""The two qualifiers of time, which have one value each, with their help."""

_NAMES: Final[Mapping[str, str]] = {
    **{name: name for name in (*TIMES, *QUALIFIERS)},
    **{alias: row.name for row in _ROWS for alias in row.aliases},
}


def name_of(word: str) -> str:
    """The name of a qualifier or of its alias.

    Raises:
        OurFault: ``filter-unreadable``, with the nearest name.
    """
    found = _NAMES.get(word.lower())
    if found is None:
        told = f'"{word}"' if re.fullmatch(r"[A-Za-z-]{1,20}", word) else "of this form"
        raise unreadable(
            f"There is no qualifier {told}{nearest(word, tuple(_NAMES))}."
            f" There are: {', '.join((*TIMES, *QUALIFIERS))}."
        )
    return found
