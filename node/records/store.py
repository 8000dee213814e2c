"""The content store: documents as files named by their SHA-256, under ``records/`` of a node home.

Names carry no PHI. A file appears under its name only when it is whole and on disk; the same
content is stored once.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

from node.errors import LimitError
from node.records.entries import Content

CHUNK = 128 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Content in the store, and whether it had been there before."""

    content: Content
    before: bool


class ContentStore:
    """A folder of immutable files."""

    def __init__(self, root: Path) -> None:
        """The folder is made on first use, readable by its owner only."""
        self._root = root

    def put(self, chunks: Iterable[bytes], *, max_bytes: int) -> Stored:
        """Store content as it comes; returns its digests and size.

        Raises:
            LimitError: ``file-too-large`` past ``max_bytes``; nothing is kept.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # XDS metadata asks for SHA-1 (ITI TF-3 4.2.3.2.10); nothing is trusted because of it
        one, two = sha1(usedforsecurity=False), sha256()
        size = 0
        with NamedTemporaryFile(dir=self._root, prefix=".new-", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                for chunk in _bounded(chunks, max_bytes):
                    size += len(chunk)
                    one.update(chunk)
                    two.update(chunk)
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
                content = Content(sha1=one.hexdigest(), sha256=two.hexdigest(), size=size)
                target = self.path(content.sha256)
                target.parent.mkdir(mode=0o700, exist_ok=True)
                before = target.exists()
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return Stored(content=content, before=before)

    def path(self, digest: str) -> Path:
        """Where content of a SHA-256 (hex) is or would be."""
        return self._root / digest[:2] / digest

    def read(self, digest: str) -> bytes:
        """The whole content; for documents within the loader's limits only."""
        return self.path(digest).read_bytes()

    def part(self, digest: str, start: int, size: int) -> bytes:
        """A part of the content; shorter where the content ends before."""
        with self.path(digest).open("rb", buffering=0) as stream:
            return os.pread(stream.fileno(), size, start)

    def remove(self, digest: str) -> None:
        """Forget content that nothing refers to."""
        self.path(digest).unlink(missing_ok=True)

    def chunks(self, digest: str) -> Generator[bytes, None, None]:
        """The content in chunks of 128 KiB."""
        with self.path(digest).open("rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk


def _bounded(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise LimitError("file-too-large", f"The file is larger than {max_bytes} bytes.")
        yield chunk
