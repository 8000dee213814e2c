"""A log's files over HTTP(S), one connection kept; implements ``tlog.audit.LogReader``."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from node.errors import LogError, NetworkFault, SettingsError

_SECONDS: Final = 30.0


class LogAddress:
    """The files below a URL. Redirects are not followed."""

    def __init__(
        self,
        url: str,
        *,
        anchors: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: ``https://host/log/2026`` or ``http://…``.
            anchors: PEM of the CAs that the server's certificate may come from; the system's
                without it.
            certificate: PEM of our own, where the server asks for one.
            key: its key.

        Raises:
            SettingsError: ``log-address-invalid`` for another URL or files that cannot be used.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise SettingsError("log-address-invalid", f"{url} is not the address of a log.")
        self._prefix = parts.path.rstrip("/")
        if parts.scheme == "http":
            self._connection = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=_SECONDS
            )
            return
        try:
            context = ssl.create_default_context(cafile=anchors)
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                "log-address-invalid", "The certificates for the log's address cannot be used."
            ) from error
        self._connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_SECONDS, context=context
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def read(self, path: str, limit: int) -> bytes:
        """A file's bytes.

        Raises:
            LogError: ``log-file-missing``, ``log-file-unreadable``.
            NetworkFault: ``log-unreachable``.
        """
        try:
            self._connection.request("GET", f"{self._prefix}/{path}")
            response = self._connection.getresponse()
            data = response.read(limit + 1)
            if not response.isclosed():  # there is more than may be: nothing further is asked here
                self._connection.close()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NetworkFault(
                "log-unreachable", "The log's address cannot be reached.", detail=str(error)
            ) from error
        if response.status == http.client.NOT_FOUND:
            raise LogError("log-file-missing", f"The log has no file {path}.", where=path)
        if response.status != http.client.OK or len(data) > limit:
            self._connection.close()
            raise LogError(
                "log-file-unreadable",
                f"The file {path} of the log cannot be had (HTTP {response.status}), or it is "
                f"longer than {limit} bytes.",
                where=path,
            )
        return data
