"""The evidence of a case as one archive: what was said, the log's entries, and proof of each.

The archive holds, for whoever has to be convinced:

* ``case.json``: the case with its messages, what people wrote included;
* ``entries/N.json``: the exact bytes of each entry: of the messages, and of the exchanges' legs;
* ``proofs/N.tlog-proof``: that the log has it (C2SP tlog-proof), for each one that is sealed;
* ``manifest.json``: SHA-256 of every file, and what is missing and why.

An entry's bytes say nothing about a patient; ``case.json`` says what people wrote. The same case at
the same time gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Engine, func, select

from node.governance.case_reading import CaseFile, Said
from node.ledger import leaf
from node.ledger.sealed_proof import Proved
from node.storage.tables import ENTRY

MOST_ENTRIES: Final = 2000
"""Entries of one archive; the manifest says how many were left out."""

_TO_CHECK: Final = (
    "Each file of proofs/ proves that the log has the entry of the same number, to whoever has the "
    "log's verifier key: `tefca-node log checkpoint` of the node shows it."
)
_AT: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip knows: nothing of it is evidence


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


def archive(
    engine: Engine,
    found: CaseFile,
    *,
    prove: Callable[[int], Proved | None],
    by: str,
    now: datetime,
) -> Archive:
    """Make the archive of a case.

    Args:
        engine: of the log's database.
        found: the case.
        prove: the proof of the entry with a number, ``None`` while it is not sealed.
        by: login of who asks for it.
        now: the current time.

    Raises:
        LogError: when the sealed log cannot be read.
    """
    rows, left_out = _entries(engine, found)
    files: dict[str, bytes] = {"case.json": _json(_case(found))}
    unproved = []
    for seq, data in rows.items():
        files[f"entries/{seq}.json"] = data
        proved = prove(seq)
        if proved is None or proved.data != data:
            unproved.append(seq)
        else:
            files[f"proofs/{seq}.tlog-proof"] = bytes(proved.proof)
    manifest = {
        "case": found.view.number,
        "made": leaf.from_time(now),
        "by": by,
        "to check": _TO_CHECK,
        "entries": len(rows),
        "not sealed yet, or not as sealed": unproved,
        "entries left out": left_out,
        "messages left out": found.left_out,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    files["manifest.json"] = _json(manifest)
    return Archive(data=_zip(files), entries=len(rows), proved=len(rows) - len(unproved))


def _entries(engine: Engine, found: CaseFile) -> tuple[dict[int, bytes], int]:
    """The entries of the messages and of the legs, by number, and how many were left out."""
    seqs = [message.seq for message in found.messages]
    rows: dict[int, bytes] = {}
    with engine.connect() as connection:
        of_messages = select(ENTRY.c.seq, ENTRY.c.leaf).where(ENTRY.c.seq.in_(seqs))
        rows |= {row.seq: bytes(row.leaf) for row in connection.execute(of_messages)}
        of_legs = select(ENTRY.c.seq, ENTRY.c.leaf).where(ENTRY.c.exchange_id.in_(found.exchanges))
        in_all = connection.execute(select(func.count()).select_from(of_legs.subquery())).scalar()
        room = max(MOST_ENTRIES - len(rows), 0)
        legs = connection.execute(of_legs.order_by(ENTRY.c.seq).limit(room)).all()
    rows |= {row.seq: bytes(row.leaf) for row in legs}
    return dict(sorted(rows.items())), (in_all or 0) - len(legs)


def _case(found: CaseFile) -> Mapping[str, object]:
    view = found.view
    return {
        "number": view.number,
        "kind": view.kind,
        "peer": view.peer,
        "state": view.state.value,
        "outcome": view.outcome,
        "opened": leaf.from_time(view.opened),
        "due": leaf.from_time(view.due),
        "assignee": view.assignee,
        "exchanges": found.exchanges,
        "review items": [item.id for item in found.items],
        "merged from": found.merged,
        "messages": [_message(message) for message in found.messages],
    }


def _message(message: Said) -> Mapping[str, object]:
    return {
        "number": message.number,
        "time": leaf.from_time(message.t),
        "verb": message.verb,
        "who": message.who,
        "name": message.name,
        "state": message.state.value,
        "refused": message.refusal,
        "outcome": message.outcome,
        "due": leaf.from_time(message.due) if message.due else None,
        "entry": message.seq,
        "written": message.private,
    }


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _zip(files: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name in sorted(files):
            made.writestr(zipfile.ZipInfo(name, _AT), files[name], zipfile.ZIP_DEFLATED)
    return held.getvalue()
