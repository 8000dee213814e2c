"""A statement: what one log holds of its exchanges with one peer in a window, as text. Pure.

Facts: tamper-evident-log C8.3. Seven lines, then one line for each exchange, sorted by token::

    exchange statement v1
    <name of the stating log, without the year>
    <HCID of the stating side>
    <HCID of the other side>
    <window, YYYY-MM-DD>
    <SHA-256 of the stating side's agreement key> <of the other's>, base64
    <number of rows> <Merkle root of the tokens, base64>
    <token> <asked|served> <t> <outcome> <request> <response>
    ...

``t`` is milliseconds since 1970 by the stating side's clock, ``request`` and ``response`` are keyed
digests (``pair_key``) or ``-`` where they are not known; token and digests are hexadecimal. Rows
are of the window and of ten minutes around it, so that exchanges at its edges have their other
half.
No token stands twice. The root is that of RFC 6962 over the tokens in their order. The stating
log has an entry of kind ``recon`` with the root, the number of rows and the SHA-256 of this text:
so a statement cannot be taken back, and one peer cannot be told otherwise than another time.

Outcomes are those of an exchange as both sides see it: ``ok``, ``ok-empty``, ``partial``,
``declined``, ``failed``, and ``none`` where no answer came, or none left.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from node.errors import LogError
from node.ledger import leaf
from node.ledger.tlog.merkle import Frontier, leaf_hash

MAX_LINE: Final = 400
"""Bytes of the longest line."""

EDGE: Final = timedelta(minutes=10)
"""How far a statement reaches around its window."""

HEAD_LINES: Final = 7

_FIRST: Final = b"exchange statement v1"
_NAME: Final = r"[!-*,-~]{1,256}"
_HCID: Final = r"urn:oid:[0-9.]{3,56}"
_DIGEST: Final = r"[A-Za-z0-9+/]{43}="
_HEAD: Final = (
    re.compile(_FIRST.decode()),
    re.compile(_NAME),
    re.compile(_HCID),
    re.compile(_HCID),
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    re.compile(rf"({_DIGEST}) ({_DIGEST})"),
    re.compile(rf"(0|[1-9][0-9]{{0,9}}) ({_DIGEST})"),
)
_KEYED: Final = rb"[0-9a-f]{32}"
_ROW: Final = re.compile(
    rb"(%s) (asked|served) ([1-9][0-9]{0,14}) "
    rb"(ok|ok-empty|partial|declined|failed|none) (-|%s) (-|%s)" % (_KEYED, _KEYED, _KEYED)
)


class Side(StrEnum):
    """Which part in an exchange the stating side had."""

    ASKED = "asked"
    SERVED = "served"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Row:
    """One exchange in a statement; rows are ordered by their tokens."""

    token: bytes
    side: Side
    t: int
    outcome: str
    request: bytes | None = None
    response: bytes | None = None

    @property
    def answered(self) -> bool:
        """Whether an answer came, or left."""
        return self.outcome != "none"

    @property
    def line(self) -> bytes:
        """As it stands in a statement, without its end of line."""
        digests = ((each.hex() if each else "-") for each in (self.request, self.response))
        parts = (self.token.hex(), self.side, str(self.t), self.outcome, *digests)
        return " ".join(parts).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The lines before the rows. ``keys`` are SHA-256 of both agreement keys, base64."""

    log: str
    own: str
    peer: str
    window: date
    keys: tuple[str, str]
    rows: int
    root: bytes

    def __bytes__(self) -> bytes:
        lines = (
            _FIRST.decode(),
            self.log,
            self.own,
            self.peer,
            self.window.isoformat(),
            " ".join(self.keys),
            f"{self.rows} {leaf.from_bytes(self.root)}",
        )
        return "".join(f"{line}\n" for line in lines).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A day in UTC, as milliseconds since 1970; ``last`` is no part of it."""

    day: date

    @property
    def first(self) -> int:
        """Its first millisecond."""
        return leaf.milliseconds(datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC))

    @property
    def last(self) -> int:
        """The first millisecond after it."""
        return self.first + 86_400_000

    @property
    def span(self) -> tuple[int, int]:
        """Where the rows of a statement begin, and where they end."""
        edge = int(EDGE.total_seconds() * 1000)
        return self.first - edge, self.last + edge

    def has(self, t: int) -> bool:
        """Whether an instant is in the window itself."""
        return self.first <= t < self.last


def root_of(rows: Iterable[Row]) -> bytes:
    """The Merkle root of rows in their order."""
    tokens = Frontier()
    for row in rows:
        tokens.append(leaf_hash(row.token))
    return tokens.root()


def statement(head: Head, rows: Iterable[Row]) -> Iterator[bytes]:
    """The text of a statement, in pieces; ``rows`` are sorted."""
    yield bytes(head)
    for row in rows:
        yield row.line + b"\n"


def key_digest(public: bytes) -> str:
    """How a statement names an agreement key."""
    return leaf.from_bytes(hashlib.sha256(public).digest())


def read_head(lines: Sequence[bytes]) -> Head:
    """The lines before the rows.

    Raises:
        LogError: ``log-statement-invalid``.
    """
    try:
        texts = [line.decode("ascii") for line in lines]
        found = [form.fullmatch(text) for form, text in zip(_HEAD, texts, strict=True)]
        _, log, own, peer, day, keys, count = (each for each in found if each)
        return Head(
            log=log[0],
            own=own[0],
            peer=peer[0],
            window=date.fromisoformat(day[0]),
            keys=(keys[1], keys[2]),
            rows=int(count[1]),
            root=leaf.to_bytes(count[2]),
        )
    except ValueError as error:
        raise _invalid("The head of a statement has another form.") from error


def read_rows(lines: Iterable[bytes], head: Head) -> Iterator[Row]:
    """The rows, one by one; what is wrong ends them, and so does the end when it does not fit.

    Raises:
        LogError: ``log-statement-invalid``: a row of another form, out of order, twice, outside the
            window; another number of rows or another root than the head says.
    """
    first, last = Window(day=head.window).span
    tokens, before, count = Frontier(), b"", 0
    for count, line in enumerate(lines, start=1):
        found = _ROW.fullmatch(line)
        if found is None:
            raise _invalid(f"Row {count} of a statement has another form.")
        row = _row(found)
        if row.token <= before:
            raise _invalid(f"Row {count} of a statement is out of order, or its token comes twice.")
        if not first <= row.t < last:
            raise _invalid(f"Row {count} of a statement is not of its window.")
        if count > head.rows:
            raise _invalid(f"A statement has more than the {head.rows} rows that it says it has.")
        before = row.token
        tokens.append(leaf_hash(row.token))
        yield row
    if count != head.rows:
        raise _invalid(f"A statement has {count} rows and says that it has {head.rows}.")
    if tokens.root() != head.root:
        raise _invalid("The tokens of a statement do not have the root that it says.")


def _row(found: re.Match[bytes]) -> Row:
    token, side, t, outcome, request, response = (each.decode("ascii") for each in found.groups())
    return Row(
        token=bytes.fromhex(token),
        side=Side(side),
        t=int(t),
        outcome=outcome,
        request=None if request == "-" else bytes.fromhex(request),
        response=None if response == "-" else bytes.fromhex(response),
    )


def _invalid(sentence: str) -> LogError:
    return LogError("log-statement-invalid", sentence)
