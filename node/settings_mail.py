"""The section ``[mail]`` of ``node.toml``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import Field, model_validator

from node.settings_section import Section

_CONSOLE = r"^(https://[A-Za-z0-9.:-]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)?$"
ADDRESS: Final = r"^[!#-'*+./-9=?A-Z^-~-]+@[A-Za-z0-9.-]+$"
LONGEST_ADDRESS: Final = 254  # RFC 5321, 4.5.3.1.3
Address = Annotated[str, Field(pattern=ADDRESS, max_length=LONGEST_ADDRESS)]


class MailSection(Section):
    """``[mail]``: the server that takes our notices; none are sent while ``host`` is empty.

    ``security`` is ``starttls`` or ``tls`` (the server's certificate is judged by the system's CAs,
    or by those of ``ca_file`` alone, and has to name ``host``), or ``none`` for a server on this
    machine, to which no password is given. ``password_file`` is read at each connection. Word of
    broken glass goes to each address of ``break_glass``. Links begin with ``console_url``; where it
    is empty, with that of the sign-on. A notice is tried again for ``keep_hours``.
    """

    host: Annotated[str, Field(pattern="^[A-Za-z0-9.:-]*$", max_length=253)] = ""
    port: Annotated[int, Field(gt=0, le=65535)] = 587
    security: Annotated[str, Field(pattern="^(starttls|tls|none)$")] = "starttls"
    ca_file: str = ""
    user: Annotated[str, Field(max_length=254)] = ""
    password_file: str = ""
    sender: Address | Annotated[str, Field(max_length=0)] = ""
    break_glass: Annotated[tuple[Address, ...], Field(max_length=20)] = ()
    console_url: Annotated[str, Field(pattern=_CONSOLE, max_length=256)] = ""
    seconds: Annotated[float, Field(gt=0, le=120)] = 20
    keep_hours: Annotated[int, Field(ge=1, le=720)] = 72

    @model_validator(mode="after")
    def _fit(self) -> MailSection:
        """Settings that need each other."""
        if self.host and not self.sender:
            raise ValueError("host needs sender, the address that notices are from")
        if self.break_glass and not self.host:
            raise ValueError("break_glass needs host: without a server no notice is sent")
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file need each other")
        if self.host and self.security == "none" and not _is_here(self.host):
            raise ValueError("security none is for a server on this machine alone")
        if self.security == "none" and self.user:
            raise ValueError("security none gives no password away: user must be empty")
        return self


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
