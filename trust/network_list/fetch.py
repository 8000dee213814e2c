"""Fetching the files of a network list from a web server or a folder, within limits.

TUF needs no trust in the transport; https keeps an observer from learning who asks. The limits hold
against a mirror that sends without end or so slowly that it never ends (facts pki B1).
"""

from __future__ import annotations

import ipaddress
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

from trust.errors import TrustError
from trust.network_list.names import limit

_CHUNK = 64 * 1024
_NOT_FOUND = 404


class NetworkTooLargeError(DownloadError):
    """A sync fetched more than it may."""


class MirrorFetcher(FetcherInterface):
    """Fetches from one mirror; one fetcher serves one sync and bounds all of it."""

    def __init__(self, base_url: str, *, monotonic: Callable[[], float]) -> None:
        """``monotonic`` gives seconds that only grow; limits of time are measured with it."""
        self._base = base_url
        self._monotonic = monotonic
        self._ends = monotonic() + limit("sync_seconds")
        self._left = limit("sync_bytes")
        self._stream: IO[bytes] | None = None

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """As python-tuf's, and the connection is closed when it ends early."""
        try:
            with super().download_file(url, max_length) as file:
                yield file
        finally:
            if self._stream is not None:
                self._stream.close()

    def _fetch(self, url: str) -> Iterator[bytes]:
        if not url.startswith(self._base):
            raise DownloadError("not a file of this mirror")
        parts = urlsplit(url)
        stream = _open_file(url, self._base) if parts.scheme == "file" else _open_url(url)
        self._stream = stream
        return self._chunks(stream)

    def _chunks(self, stream: IO[bytes]) -> Iterator[bytes]:
        ends = min(self._ends, self._monotonic() + limit("file_seconds"))
        read = getattr(stream, "read1", stream.read)  # what has come, not all that will
        while True:
            try:
                chunk = read(_CHUNK)
            except (OSError, HTTPException) as error:
                raise SlowRetrievalError("the mirror stopped sending") from error
            if not chunk:
                return
            self._left -= len(chunk)
            if self._left < 0:
                raise NetworkTooLargeError("the mirror sends too much")
            if self._monotonic() > ends:
                raise SlowRetrievalError("the mirror sends too slowly")
            yield chunk


def mirror_url(text: str) -> str:
    """The base URL of a mirror, with a final slash: https, a folder, or http on this machine.

    Raises:
        TrustError: ``network-url-refused``.
    """
    parts = urlsplit(text)
    if parts.scheme == "" and text:
        return Path(text).resolve().as_uri() + "/"
    usable = (
        (parts.scheme == "https" and parts.hostname)
        or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
        or (parts.scheme == "file" and parts.netloc == "")
    )
    if not usable or parts.query or parts.fragment or parts.username or parts.password:
        raise TrustError(
            "network-url-refused",
            "A network list is fetched by https, from a folder, or by http from this machine.",
        )
    return text if text.endswith("/") else text + "/"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _open_file(url: str, base: str) -> IO[bytes]:
    root = Path(unquote(urlsplit(base).path)).resolve()
    path = Path(unquote(urlsplit(url).path)).resolve()
    if not path.is_relative_to(root):
        raise DownloadError("not a file of this mirror")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DownloadHTTPError("no such file", _NOT_FOUND) from error
    except OSError as error:
        raise DownloadError("a file cannot be read") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A mirror that sends us elsewhere could send us to a host inside our own network."""

    def redirect_request(self, *_given: object, **_named: object) -> None:
        """Refuses: the redirect becomes an HTTP error."""


def _open_url(url: str) -> IO[bytes]:
    # Loopback never goes through a proxy of the environment.
    host = urlsplit(url).hostname or ""
    proxies = [urllib.request.ProxyHandler({})] if _is_loopback(host) else []
    opener = urllib.request.build_opener(_NoRedirect(), *proxies)
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310  checked by mirror_url
    try:
        stream: IO[bytes] = opener.open(request, timeout=limit("read_seconds"))
    except urllib.error.HTTPError as error:
        with error:
            raise DownloadHTTPError("the mirror refused", error.code) from error
    except TimeoutError as error:
        raise SlowRetrievalError("the mirror does not answer") from error
    except (OSError, HTTPException) as error:
        raise DownloadError("the mirror cannot be reached") from error
    return stream
