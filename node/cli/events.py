"""Shows what happens while the network is asked, and sums it up at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from rich.markup import escape

from node.cli.exits import Exit
from node.cli.output import err, note, print_json, print_table, say
from node.exchange.initiate import Event, LegEnded, LegStarted
from node.exchange.merge import FoldedDocument, Source, fold
from node.model import (
    DeliveryAnswer,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    Leg,
    Match,
    Outcome,
    QueryAnswer,
    RetrieveAnswer,
    Transaction,
)

WORDS = {
    Outcome.OK: "found",
    Outcome.OK_EMPTY: "nothing held",
    Outcome.PARTIAL: "partly",
    Outcome.DECLINED: "declined",
    Outcome.FAILED: "not reached",
    Outcome.TIMED_OUT: "no answer in time",
    Outcome.CANCELLED: "stopped",
}
_DONE = {Transaction.ITI_39.value: "received", Transaction.ITI_80.value: "delivered"}
_COLOURS = {
    Outcome.OK: "green",
    Outcome.OK_EMPTY: "dim",
    Outcome.PARTIAL: "yellow",
    Outcome.DECLINED: "yellow",
    Outcome.FAILED: "red",
    Outcome.TIMED_OUT: "red",
    Outcome.CANCELLED: "dim",
}


@dataclass(slots=True)
class Gathered:
    """Everything that came of one question."""

    legs: list[Leg] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    entries: list[DocumentEntry] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Keep what an event brings."""
        if isinstance(event, LegStarted):
            return
        leg, answer = event.result.leg, event.result.answer
        self.legs.append(leg)
        match answer:
            case DiscoveryAnswer():
                self.matches.extend(answer.matches)
            case QueryAnswer():
                self.entries.extend(answer.documents)
            case RetrieveAnswer():
                known = {_key(e.ref): e for e in self.entries}
                self.sources.extend(
                    Source(peer=leg.peer, document=d, entry=known.get(_key(d.ref)))
                    for d in answer.documents
                )
            case DeliveryAnswer() | None:
                pass

    @property
    def folded(self) -> tuple[FoldedDocument, ...]:
        """The documents that came, the same bytes once."""
        return fold(self.sources)

    @property
    def exit(self) -> Exit:
        """0 when somebody was asked and every leg ended with an answer, also empty; else 1."""
        good = (Outcome.OK, Outcome.OK_EMPTY)
        whole = bool(self.legs) and all(leg.outcome in good for leg in self.legs)
        return Exit.DONE if whole else Exit.NOT_GOOD


def _key(ref: DocumentRef) -> tuple[str, str]:
    return ref.repository_unique_id, ref.document_unique_id


def word(leg: Leg) -> str:
    """The outcome as a person says it."""
    if leg.outcome is Outcome.OK:
        return _DONE.get(str(leg.transaction), WORDS[Outcome.OK])
    return WORDS[leg.outcome]


def colour_of(leg: Leg) -> str:
    """The colour of an outcome."""
    return _COLOURS[leg.outcome]


def show_progress(event: Event) -> None:
    """One line for each thing that happens, on standard error."""
    if isinstance(event, LegStarted):
        doing = "sending" if event.transaction is Transaction.ITI_80 else "asking"
        err.print(f"  {doing:8} {escape(event.entry.name)}  {event.transaction}", style="dim")
        return
    leg = event.result.leg
    more = _more(event)
    err.print(
        f"  [{colour_of(leg)}]{word(leg):17}[/] {escape(leg.peer.name)}  {leg.transaction}  "
        f"{leg.duration_ms} ms{escape(more)}"
    )


def _more(event: LegEnded) -> str:
    leg, answer = event.result.leg, event.result.answer
    if leg.sentence or leg.reason:
        return f"  ({leg.sentence or leg.reason})"
    if isinstance(answer, DiscoveryAnswer) and answer.matches:
        count = len(answer.matches)
        return f"  {count} {'identity' if count == 1 else 'identities'}"
    if not leg.documents:
        return ""
    return f"  {leg.documents} {'document' if leg.documents == 1 else 'documents'}"


def leg_row(leg: Leg) -> dict[str, object]:
    """A leg for ``--json``."""
    return {
        "peer": leg.peer.name,
        "hcid": leg.peer.home_community_id,
        "transaction": leg.transaction,
        "outcome": leg.outcome,
        "reason": leg.reason,
        "sentence": leg.sentence,
        "ms": leg.duration_ms,
        "documents": leg.documents,
        "errors": [
            {"code": error.code, "context": error.context, "location": error.location}
            for error in leg.errors
        ],
    }


def document_row(document: FoldedDocument, path: str | None) -> dict[str, object]:
    """A folded document for ``--json``."""
    return {
        "sha256": document.sha256,
        "mime_type": document.mime_type,
        "type_code": document.type_code,
        "title": document.title,
        "size": document.size,
        "sources": [
            {
                "peer": source.peer.name,
                "hcid": source.peer.home_community_id,
                "repository_unique_id": source.document.ref.repository_unique_id,
                "document_unique_id": source.document.ref.document_unique_id,
            }
            for source in document.sources
        ],
        "path": path,
    }


def show_summary(gathered: Gathered, *, as_json: bool) -> None:
    """What every peer said, and what was found."""
    if not gathered.legs:
        note("Nobody was asked: the directory has no peer that answers. Next: doctor")
    if as_json:
        print_json(
            {
                "legs": [leg_row(leg) for leg in gathered.legs],
                "matches": [{"at": _at(match), **asdict(match)} for match in gathered.matches],
                "entries": [_entry_row(entry) for entry in gathered.entries],
                "documents": [
                    document_row(document, gathered.paths.get(document.sha256))
                    for document in gathered.folded
                ],
            }
        )
        return
    if not gathered.legs:
        return
    print_table(
        ("peer", "transaction", "answer", "why", "documents", "ms"),
        [
            (
                leg.peer.name,
                leg.transaction,
                word(leg),
                leg.sentence or leg.reason,
                leg.documents or "",
                leg.duration_ms,
            )
            for leg in gathered.legs
        ],
        empty="",
    )
    for match in gathered.matches:
        name = match.organization_name or match.home_community_id
        say(f"The person is known at {name}: --at '{_at(match)}'")
    if gathered.entries and not gathered.sources:
        print_table(
            ("title", "type", "care", "document"),
            [
                (
                    entry.title,
                    entry.type_code.code if entry.type_code else "",
                    entry.service_start,
                    _document(entry),
                )
                for entry in gathered.entries
            ],
            empty="",
        )
    if gathered.sources:
        print_table(
            ("title", "type", "size", "held by", "saved as"),
            [
                (
                    document.title,
                    document.type_code,
                    document.size,
                    ", ".join(source.peer.name for source in document.sources),
                    gathered.paths.get(document.sha256),
                )
                for document in gathered.folded
            ],
            empty="",
        )


def _at(match: Match) -> str:
    """The value that ``query documents --at`` takes."""
    return f"{match.home_community_id}={match.patient_id.cx}"


def _document(entry: DocumentEntry) -> str:
    """The argument that ``query retrieve`` takes."""
    return f"{entry.home_community_id}/{entry.repository_unique_id}/{entry.unique_id}"


def _entry_row(entry: DocumentEntry) -> dict[str, object]:
    return {
        "document": _document(entry),
        "home_community_id": entry.home_community_id,
        "repository_unique_id": entry.repository_unique_id,
        "document_unique_id": entry.unique_id,
        "title": entry.title,
        "type_code": entry.type_code,
        "mime_type": entry.mime_type,
        "service_start": entry.service_start,
        "service_stop": entry.service_stop,
        "creation_time": entry.creation_time,
        "size": entry.size,
        "hash": entry.hash,
    }
