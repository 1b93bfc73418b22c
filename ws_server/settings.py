"""Settings of the server, in order of priority: command line, CHAT_* variables, a file."""

from __future__ import annotations

import ipaddress
import re
import socket
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.faults import explained, shown
from shared.hosts import checked
from shared.protocol.values import NAME
from shared.settings import (
    CommonSettings,
    Network,
    NetworkList,
    SettingsRefused,
    check_tls_pair,
    hosts,
    networks,
    parser_of,
    split,
)
from shared.text_files import decoded
from ws_server import __version__

SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Shared address space of providers and overlay networks (RFC 6598)."""


LOOPBACK = "127.0.0.0/8, ::1"
"""The networks of this machine."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address; of names, only localhost counts."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Return whether an address is private; names are not, as they may resolve to any address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (address.is_private and not address.is_unspecified) or address in SHARED


def host_name() -> str:
    """Return this machine's name in the form of a realm's name."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname().partition(".")[0])[:32]
    return name if NAME.fullmatch(name) else "realm"


class Settings(CommonSettings):
    """All settings with their defaults; docs/operations.md explains them."""

    model_config = SettingsConfigDict(env_prefix="CHAT_", extra="ignore")
    belongs_to_others: ClassVar[tuple[str, ...]] = ("CHAT_APP_", "CHAT_TERMINAL_")
    addresses: ClassVar[tuple[str, ...]] = ("database", "origins")

    host: str = Field(
        "localhost",
        min_length=1,
        description="address to listen on; localhost means 127.0.0.1 and ::1",
    )
    port: int = Field(
        8765, ge=0, le=65535, description="TCP port for WebSockets; 0 picks a free one"
    )
    web_port: int | None = Field(
        8550,
        ge=0,
        le=65535,
        description="TCP port of the web app; if it is taken, one of the next 20; 0 picks a free "
        "one; off disables the web app",
    )
    data: Path = Field(
        Path("data"), description="data folder: the database, the files and the realm's key"
    )
    realm: str = Field(
        default_factory=host_name,
        description="name of this realm; the first start stores it, later starts need no --realm",
    )
    database: str = Field(
        "",
        description="sqlite:///PATH or postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME "
        "(default: SQLite in the data folder)",
    )
    registration: Literal["open", "invite", "closed"] = Field(
        "open",
        description="who may register: everybody (open), people with an invitation (invite) or "
        "nobody (closed)",
    )
    rate_limits: Literal["on", "off"] = Field(
        "on", description="off turns off rate limits and the bounds on strangers; for tests only"
    )
    realms: Literal["open", "admin", "closed"] | None = Field(
        None,
        description="who may add other realms: every user (open), admins (admin) or nobody "
        "(closed) (default: admins; every user while only this machine can connect)",
    )
    public: bool = Field(
        False, description="never connect to realms at loopback or private addresses"
    )
    session_days: int = Field(
        90, ge=1, le=36_500, description="days after which an unused session ends"
    )
    max_file: int = Field(100, ge=1, description="size limit of one file, in MiB")
    max_user_files: int = Field(
        1024, ge=1, description="size limit of all files of one user together, in MiB"
    )
    max_realm_files: int = Field(
        4096, ge=1, description="size limit of all files from one other realm together, in MiB"
    )
    max_all_files: int | None = Field(
        None,
        ge=1,
        description="size limit of all files together, in MiB (default: limited by the disk)",
    )
    reserve: int | None = Field(
        None,
        ge=0,
        description="disk space that files leave free, in MiB (default: a twentieth of the disk, "
        "but 256 to 4096, and never more than a quarter)",
    )
    hosts: Annotated[str, AfterValidator(checked)] = Field(
        "",
        description="host names under which browsers may reach the server, separated by commas; "
        "IP addresses and localhost always work",
    )
    origins: str = Field(
        "",
        description="web origins whose pages may connect, separated by commas "
        "(default: only the server's own pages)",
    )
    trusted_proxies: NetworkList = Field(
        "",
        description="networks of reverse proxies, separated by commas; their X-Forwarded-For "
        "names the client (default: none)",
    )
    metrics_from: NetworkList = Field(
        "",
        description="networks that may read /metrics, separated by commas "
        "(default: only this machine)",
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the certificate chain; enables TLS"
    )
    tls_key: Path | None = Field(None, description="PEM file with the private key, unencrypted")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level to log"
    )
    config: Path | None = Field(
        None, description="TOML file with any of these settings; options and variables override it"
    )

    @classmethod
    def from_file(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        return _toml(given.get("config"))

    @field_validator("web_port", mode="before")
    @classmethod
    def _web_may_be_off(cls, port: object) -> object:
        return None if port == "off" else port

    @field_validator("data", mode="before")
    @classmethod
    def _data_is_named(cls, data: object) -> object:
        if data == "":
            raise ValueError("must name a folder")
        return data

    @field_validator("realm")
    @classmethod
    def _realm_is_a_name(cls, realm: str) -> str:
        if not NAME.fullmatch(realm):
            raise ValueError("must be 1 to 32 of A-Z a-z 0-9 . _ -")
        return realm

    @field_validator("origins")
    @classmethod
    def _origins_are_origins(cls, text: str) -> str:
        for origin in split(text):
            if not re.fullmatch(r"https?://[^/\s]+/?", origin):
                raise ValueError(f"{origin} is not an origin such as https://chat.example.org")
        return text

    _tls_is_whole = model_validator(mode="after")(check_tls_pair)

    @property
    def listen_on(self) -> list[str]:
        """The addresses to listen on."""
        return hosts(self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can connect."""
        return is_loopback(self.host)

    @property
    def is_reached_by_name(self) -> bool:
        """Whether browsers may use a host name other than loopback's."""
        return bool(split(self.hosts) or split(self.origins))

    @property
    def networks(self) -> list[Network]:
        """The trusted proxies."""
        return networks(self.trusted_proxies)

    @property
    def scrapers(self) -> list[Network]:
        """The networks that may read the metrics, and why the server is not ready."""
        return networks(self.metrics_from or LOOPBACK)

    @property
    def private(self) -> bool:
        """Whether the server is in a private network, where any user may add realms."""
        return not self.public and (is_loopback(self.host) or is_private(self.host))

    @property
    def trial(self) -> bool:
        """Whether only this machine can reach the server directly: a trial.

        A proxy on this machine may forward strangers, so a setting that serves a proxy ends the
        trial.
        """
        exposed = self.public or self.trusted_proxies or self.origins
        return is_loopback(self.host) and not exposed


def _toml(path: str | Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(decoded(Path(path).read_bytes()))
    except OSError as error:
        raise SettingsRefused(f"--config {explained(error, path)}") from error
    except ValueError as error:
        raise SettingsRefused(f"--config {shown(path)}: {error}") from error
    values = {name.replace("-", "_"): value for name, value in found.items()}
    if unknown := values.keys() - (Settings.model_fields.keys() - {"config"}):
        names = shown(", ".join(sorted(unknown)))
        raise SettingsRefused(f"--config {shown(path)}: there is no setting {names}")
    return values


def load(arguments: Sequence[str]) -> Settings:
    """Read the settings from all sources.

    Raises:
        SettingsRefused: a setting is wrong.
        SystemExit: the arguments contain --help or an unknown option.
    """
    parser = parser_of(
        "ws_server",
        "Run a chat server: one realm.",
        "Each option can also be set as CHAT_NAME in the environment or in the TOML file.",
    )
    parser.add_argument("--version", action="version", version=f"Simple Chatting {__version__}")
    return Settings.load(arguments, parser)
