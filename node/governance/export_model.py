"""An export of entries: what is asked for, where it stands, and its filter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import parse_filter, sentence
from node.ledger.leaf import Kind


class Source(StrEnum):
    """The list that is exported."""

    EXCHANGES = "exchanges"
    ACCESS = "access"


class State(StrEnum):
    """Where an export stands.

    ``waiting``: for a second person; ``queued``: for the writer; ``gone``: its file is deleted.
    """

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    FAILED = "failed"
    GONE = "gone"


OPEN: Final = (State.WAITING, State.QUEUED, State.RUNNING)
FORMATS: Final = ("csv", "ndjson")
MEDIA: Final = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_KINDS: Final = {Source.EXCHANGES: Kind.EXCHANGE.value, Source.ACCESS: Kind.ADMIN.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What somebody asks for.

    Attributes:
        chosen: the filter, with instants and with tokens in place of people.
        tokens: whether patients' tokens are in the file. The access log has them in what its
            entries are about, so of it they always are.
    """

    source: Source
    chosen: LedgerFilter
    format: str
    tokens: bool

    @property
    def reveals(self) -> bool:
        """Whether patients' tokens are revealed."""
        return self.tokens or self.source is Source.ACCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An export as it stands; see ``export_tables``."""

    id: int
    source: Source
    filter: str
    format: str
    tokens: bool
    asker: str
    asked: datetime
    bound: int
    rows: int
    state: State
    request: int | None
    written: int
    seen: datetime | None
    until: datetime | None
    size: int | None
    sha256: bytes | None
    downloads: int
    reason: str | None

    @property
    def ask(self) -> Ask:
        """What was asked for."""
        chosen = parse_filter(self.filter)
        return Ask(source=self.source, chosen=chosen, format=self.format, tokens=self.tokens)

    @property
    def file_name(self) -> str:
        """Of the file, in the node's folder and where it is taken to."""
        return f"export-{self.id}.{self.format}"

    @property
    def sentence(self) -> str:
        """What it is of, in words; a person stays unnamed."""
        return sentence(self.ask.chosen)

    @property
    def what(self) -> Mapping[str, object]:
        """Exactly what a second person approves."""
        return {
            "export": self.id,
            "kind": self.source.value,
            "filter": self.filter,
            "format": self.format,
            "tokens": self.tokens,
            "rows": self.rows,
            "bound": self.bound,
        }


def of_kind(source: Source, chosen: LedgerFilter) -> LedgerFilter:
    """The filter, of the entries that a kind of export is about."""
    return replace(chosen, kind=_KINDS[source])
