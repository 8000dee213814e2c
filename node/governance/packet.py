"""A packet for an inquiry: entries of the log as one archive, with proof that the log has them.

It holds, for a regulator or another node:

* ``summary.pdf``: what it is about, how much it holds, and how it is checked;
* ``entries.ndjson`` and ``entries/N.json``: the exact bytes of each entry;
* ``audit-events.ndjson``: the same as FHIR AuditEvents (BALP), without private details;
* ``proofs/N.tlog-proof``: that the log has the entry (C2SP tlog-proof), for each that is sealed;
* ``log-keys.txt``: the log's verifier keys, as this node says;
* ``case.json``: what people wrote, where it is of a case and not for a peer;
* ``README.txt`` and ``manifest.json``: SHA-256 of every other file, and what is missing and why.

An entry's bytes say nothing about a patient. A **neutral** packet is for a peer: it has the legs
with that peer alone, and neither the case nor its number. The same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from node.governance.paper import Paper
from node.ledger import leaf
from node.ledger.audit import Site
from node.ledger.export import Exported
from node.ledger.export_rendering import event_of
from node.ledger.sealed_proof import Proved
from node.wire.balp import write_audit_events

MANIFEST: Final = "manifest.json"
_AT: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip knows: nothing of it is evidence

_README: Final = """\
This packet holds entries of an exchange log and proof that the log has them.

Check it with the program tefca-node, which needs no node for it:

  tefca-node log verify-packet PACKET.zip --vkey KEY

KEY is a verifier key of the log. log-keys.txt has the keys as the sender says them; take the key
from somewhere else too (the sender's directory entry, a checkpoint seen before): a packet cannot
vouch for itself. With other tools: manifest.json has SHA-256 of every file; each file of proofs/
is a C2SP tlog-proof of the entry with the same number in entries/, whose leaf hash is SHA-256 of
a zero byte and the entry's bytes. entries.ndjson has the same bytes, one entry a line.

Entries that are listed in manifest.json as not sealed have no proof yet: ask for them again later.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The archive's bytes, how many entries it holds, and how many of them are proved."""

    data: bytes
    entries: int
    proved: int

    @property
    def digest(self) -> str:
        """SHA-256 (hex)."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What goes into a packet.

    Attributes:
        title: what it is called.
        about: in sentences; of a neutral one without a case.
        rows: the entries' bytes by their numbers, in order.
        left_out: entries that there was no room for.
        files: further files by name.
        facts: further facts of the manifest.
    """

    title: str
    about: tuple[str, ...]
    rows: Mapping[int, bytes]
    left_out: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What every packet of a node is made with.

    Attributes:
        prove: the proof of the entry with a number, ``None`` while it is not sealed.
        vkeys: the log's verifier keys.
        site: this node, for the AuditEvents.
    """

    prove: Callable[[int], Proved | None]
    vkeys: Callable[[], Sequence[str]]
    site: Site


def pack(content: Content, packing: Packing, *, by: str, now: datetime) -> Archive:
    """Make a packet.

    Raises:
        LogError: when the sealed log cannot be read.
    """
    files = dict(content.files)
    unproved = []
    for seq, data in content.rows.items():
        files[f"entries/{seq}.json"] = data
        proved = packing.prove(seq)
        if proved is None or proved.data != data:
            unproved.append(seq)
        else:
            files[f"proofs/{seq}.tlog-proof"] = bytes(proved.proof)
    files["entries.ndjson"] = b"".join(data + b"\n" for data in content.rows.values())
    files["audit-events.ndjson"] = _audit_events(content.rows, packing.site)
    files["log-keys.txt"] = "".join(f"{key}\n" for key in packing.vkeys()).encode()
    files["README.txt"] = _README.encode()
    count, proofs = len(content.rows), len(content.rows) - len(unproved)
    files["summary.pdf"] = _summary(
        content, packing.site, count=count, proved=proofs, by=by, now=now
    )
    manifest = {
        "title": content.title,
        "made": leaf.from_time(now),
        "by": by,
        "from": packing.site.home_community_id,
        "entries": count,
        "not sealed yet, or not as sealed": unproved,
        "entries left out": content.left_out,
        **content.facts,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    files[MANIFEST] = json_of(manifest)
    return Archive(data=_zip(files), entries=count, proved=proofs)


def json_of(value: object) -> bytes:
    """JSON that people can read, its keys in order."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _audit_events(rows: Mapping[int, bytes], site: Site) -> bytes:
    made = (
        resource + b"\n"
        for seq, data in rows.items()
        for resource in write_audit_events(event_of(Exported(seq=seq, data=data), site))
    )
    return b"".join(made)


def _summary(
    content: Content, site: Site, *, count: int, proved: int, by: str, now: datetime
) -> bytes:
    paper = Paper(content.title, made=now)
    paper.text(f"From: {site.name} ({site.home_community_id})")
    paper.text(f"Made: {now:%-d %B %Y, %H:%M} UTC, by {by}")
    for line in content.about:
        paper.text(line)
    paper.heading("What it holds")
    paper.text(f"Entries of the log: {count}, with proof that the log has them: {proved}.")
    if count > proved:
        paper.text("The others are not sealed yet; manifest.json names them.")
    if content.left_out:
        paper.text(f"Entries that there was no room for: {content.left_out}.")
    paper.heading("Entries")
    rows = [_row(seq, data) for seq, data in content.rows.items()]
    if rows:
        head = ("Number", "Began (UTC)", "What", "Other side", "Outcome")
        paper.table((16, 36, 26, 52, 30), head, rows)
    else:
        paper.text("None.")
    paper.heading("How it is checked")
    for line in _README.split("\n\n"):
        paper.text(" ".join(line.split()), size=9)
    return paper.data()


def _row(seq: int, data: bytes) -> tuple[str, ...]:
    fields = orjson.loads(data)
    what = fields.get("txn") or fields.get("act") or fields["kind"]
    ended = [fields.get("outcome"), fields.get("reason")]
    return (
        str(seq),
        str(fields["t"]),
        str(what),
        str(fields.get("peer", "")),
        ", ".join(str(each) for each in ended if each),
    )


def _zip(files: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name in sorted(files):
            made.writestr(zipfile.ZipInfo(name, _AT), files[name], zipfile.ZIP_DEFLATED)
    return held.getvalue()
