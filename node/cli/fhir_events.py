"""Shows what happens while peers' FHIR servers are asked, and sums it up at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.markup import escape

from node.cli.events import WORDS, colour_of, leg_row, show_progress
from node.cli.exits import Exit
from node.cli.output import counted, err, note, print_json, print_table, say
from node.exchange.fhir_events import FhirLegEnded, FhirLegStarted, Located
from node.exchange.fhir_whole import PeerSummary, WholeBundle, WholeEvent
from node.exchange.initiate import LegEnded, LegStarted
from node.model import Leg, Outcome


@dataclass(slots=True)
class FhirGathered:
    """Everything that came of one question."""

    legs: list[Leg] = field(default_factory=list)
    located: list[Located] = field(default_factory=list)
    answers: list[PeerSummary] = field(default_factory=list)
    bundle: bytes = b""

    def take(self, event: WholeEvent) -> None:
        """Keep what an event brings."""
        match event:
            case LegEnded() | FhirLegEnded():
                self.legs.append(event.result.leg)
            case Located():
                self.located.append(event)
            case PeerSummary():
                self.answers.append(event)
            case WholeBundle():
                self.bundle = event.bundle
            case _:
                pass

    @property
    def peers(self) -> list[PeerSummary]:
        """What became of each, in the order of the merged Bundle."""
        return sorted(self.answers, key=lambda each: each.home_community_id)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries that peers gave."""
        found = orjson.loads(self.bundle).get("entry", []) if self.bundle else []
        return [each for each in found if "extension" in each]

    @property
    def exit(self) -> Exit:
        """0 when somebody was asked and everybody answered, also with nothing; else 1."""
        good = (Outcome.OK, Outcome.OK_EMPTY)
        whole = bool(self.answers) and all(each.outcome in good for each in self.answers)
        return Exit.DONE if whole else Exit.NOT_GOOD


def show_fhir_progress(event: WholeEvent) -> None:
    """One line for each thing that happens, on standard error."""
    match event:
        case LegStarted() | LegEnded():
            show_progress(event)
        case FhirLegStarted():
            err.print(f"  asking   {escape(event.entry.name)}  {event.interaction}", style="dim")
        case FhirLegEnded():
            leg = event.result.leg
            why = leg.sentence or leg.reason
            more = f"  ({why})" if why else f"  {counted(leg.documents, 'resource')}"
            err.print(
                f"  [{colour_of(leg)}]{WORDS[leg.outcome]:17}[/] {escape(leg.peer.name)}  "
                f"{leg.transaction}  {leg.duration_ms} ms{escape(more)}"
            )
        case _:
            pass


def show_fhir_summary(gathered: FhirGathered, saved: Path | None, *, as_json: bool) -> None:
    """What every peer said; the merged Bundle where it was not saved."""
    if not gathered.answers:
        note("Nobody was asked: the directory has no peer that answers. Next: doctor")
    entries = gathered.entries
    linked = sum("link" in each for each in entries)
    if as_json:
        print_json(
            {
                "legs": [leg_row(leg) for leg in gathered.legs],
                "at": [_at(each) for each in gathered.located],
                "peers": [_answer_row(answer) for answer in gathered.peers],
                "resources": len(entries),
                "linked": linked,
                "saved": saved,
                "bundle": None if saved else orjson.Fragment(gathered.bundle),
            }
        )
        return
    if not gathered.answers:
        return
    print_table(
        ("peer", "answer", "why", "resources", "pages"),
        [
            (
                answer.name,
                WORDS[answer.outcome],
                answer.sentence or answer.cut or answer.reason,
                answer.resources or "",
                answer.pages or "",
            )
            for answer in gathered.peers
        ],
        empty="",
    )
    for located in gathered.located:
        say(f"The person is known at {located.entry.name}: --at '{_at(located)}'")
    kinds = Counter(str(each["resource"]["resourceType"]) for each in entries)
    for kind, number in sorted(kinds.items()):
        say(f"{kind}: {number}")
    if linked:
        say(f"{linked} of them are held by several peers and linked.")
    say(f"saved as {saved}" if saved else gathered.bundle.decode())


def _at(located: Located) -> str:
    """The value that ``--at`` takes."""
    return f"{located.known.home_community_id}=Patient/{located.known.fhir_id}"


def _answer_row(answer: PeerSummary) -> dict[str, object]:
    return {
        "peer": answer.name,
        "hcid": answer.home_community_id,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "sentence": answer.sentence,
        "resources": answer.resources,
        "put_aside": answer.put_aside,
        "cut": answer.cut,
    }
