"""Checks a packet: every digest of its manifest, and every proof against its entry. Pure.

Nothing of a packet is believed: names are only compared, sizes are limited before anything is
unpacked, and a proof counts only under a verifier key that the checker brings.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from node.errors import CodedError, LogError
from node.governance.packet import MANIFEST
from node.ledger.leaf import decode, leaf_hash
from node.ledger.tlog.policy import Policy
from node.ledger.tlog.proof import parse_proof, verify_proof

MAX_PACKET: Final = 256 * 1024 * 1024
_MOST_FILES: Final = 10_000
_ENTRY: Final = re.compile(r"entries/(0|[1-9][0-9]{0,17})\.json", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPacket:
    """What was found; it is good when there are no problems.

    Attributes:
        title: as the manifest says it.
        files: files whose digests agree.
        proved: entries that the log has, by its proofs.
        unproved: entries without a proof.
        problems: sentences.
    """

    title: str
    files: int
    proved: int
    unproved: tuple[int, ...]
    problems: tuple[str, ...]


def check_packet(data: bytes, policy: Policy) -> CheckedPacket:
    """Check a packet.

    Raises:
        LogError: ``log-packet-invalid`` when it is no packet at all.
    """
    files = _unpacked(data)
    manifest = _manifest(files)
    said = manifest["sha256"]
    problems = []
    same = 0
    for name in sorted({*said, *files} - {MANIFEST}):
        if name not in files:
            problems.append(f"{name[:100]} is missing.")
        elif name not in said:
            problems.append(f"{name[:100]} is not in the manifest.")
        elif hashlib.sha256(files[name]).hexdigest() != said[name]:
            problems.append(f"{name[:100]} is not what the manifest says.")
        else:
            same += 1
    rows = {
        int(found[1]): body for name, body in files.items() if (found := _ENTRY.fullmatch(name))
    }
    proved, unproved = 0, []
    for seq in sorted(rows):
        proof = files.get(f"proofs/{seq}.tlog-proof")
        if proof is None:
            unproved.append(seq)
            continue
        problem = _problem(seq, rows[seq], proof, policy)
        if problem is None:
            proved += 1
        else:
            problems.append(problem)
    lines = b"".join(rows[seq] + b"\n" for seq in sorted(rows))
    if files.get("entries.ndjson") != lines:
        problems.append("entries.ndjson has not the bytes of the entries.")
    return CheckedPacket(
        title=str(manifest.get("title", ""))[:200],
        files=same,
        proved=proved,
        unproved=tuple(unproved),
        problems=tuple(problems),
    )


def _problem(seq: int, body: bytes, proof: bytes, policy: Policy) -> str | None:
    try:
        if decode(body)["seq"] != seq:
            return f"Entry {seq} has another number in its bytes."
        verify_proof(parse_proof(proof), leaf_hash(body), policy)
    except CodedError as error:
        return f"Entry {seq} is not proved ({error.code})."
    return None


def _unpacked(data: bytes) -> Mapping[str, bytes]:
    if len(data) > MAX_PACKET:
        raise _invalid(f"A packet is larger than {MAX_PACKET // 2**20} MiB.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            listed = held.infolist()
            names = {each.filename for each in listed}
            if len(listed) > _MOST_FILES or len(names) != len(listed):
                raise _invalid(f"A packet has more than {_MOST_FILES} files, or a name twice.")
            # what a file claims is what reading it stops at
            if sum(each.file_size for each in listed) > MAX_PACKET:
                raise _invalid(f"A packet unpacks to more than {MAX_PACKET // 2**20} MiB.")
            return {each.filename: held.read(each) for each in listed}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise _invalid("This is no packet: it cannot be unpacked.") from error


def _manifest(files: Mapping[str, bytes]) -> Mapping[str, Mapping[str, str]]:
    try:
        manifest = orjson.loads(files[MANIFEST])
    except (KeyError, orjson.JSONDecodeError):
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sha256"), dict):
        raise _invalid(f"This is no packet: it has no {MANIFEST} with digests.")
    return manifest


def _invalid(sentence: str) -> LogError:
    return LogError("log-packet-invalid", sentence)
