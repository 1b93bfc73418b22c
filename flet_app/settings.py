"""The app's settings. The command line overrides CHAT_APP_* in the environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.client.connection import parse_url
from shared.hosts import checked
from shared.settings import (
    CommonSettings,
    Network,
    NetworkList,
    check_tls_pair,
    networks,
    parser_of,
)


class AppSettings(CommonSettings):
    """The settings with their defaults; docs/web.md explains them."""

    model_config = SettingsConfigDict(env_prefix="CHAT_APP_", extra="ignore")
    addresses: ClassVar[tuple[str, ...]] = ("server",)

    server: str = Field("ws://localhost:8765", description="address of the realm")
    web: bool = Field(False, description="serve browsers instead of opening a window")
    host: str = Field(
        "localhost",
        min_length=1,
        description="with --web: address to listen on; localhost means 127.0.0.1 and ::1",
    )
    port: int = Field(
        8550,
        ge=0,
        le=65535,
        description="with --web: TCP port; if it is taken, one of the next 20; 0 picks a free one",
    )
    max_pages: int = Field(500, ge=1, description="with --web: most pages open at once")
    max_address_pages: int = Field(
        100, ge=1, description="with --web: most pages open at once at one address"
    )
    trusted_proxies: NetworkList = Field(
        "",
        description="with --web: networks of reverse proxies, separated by commas; their "
        "X-Forwarded-For names the client",
    )
    hosts: Annotated[str, AfterValidator(checked)] = Field(
        "",
        description="with --web: host names under which browsers may reach it, separated by commas",
    )
    tls_cert: Path | None = Field(
        None, description="with --web: PEM file with the certificate chain; enables TLS"
    )
    tls_key: Path | None = Field(
        None, description="with --web: PEM file with the private key, unencrypted"
    )
    socket: Path | None = Field(
        None, description="with --web: the realm's Unix socket, instead of its address"
    )
    sockets: str = Field(
        "",
        description="with --web: numbers of open sockets to listen on, by comma, from a program "
        "that holds the standard input; the app ends with it",
    )

    @field_validator("server")
    @classmethod
    def _server_is_an_address(cls, server: str) -> str:
        parse_url(server)
        return server

    @field_validator("sockets")
    @classmethod
    def _sockets_are_numbers(cls, text: str) -> str:
        if text and not all(part.isdecimal() for part in text.split(",")):
            raise ValueError("must be numbers with commas")
        return text

    _tls_is_whole = model_validator(mode="after")(check_tls_pair)

    @property
    def networks(self) -> list[Network]:
        """The trusted proxies."""
        return networks(self.trusted_proxies)


def load(arguments: Sequence[str]) -> AppSettings:
    """Read the settings from all sources.

    Raises:
        SettingsRefused: a setting is wrong.
        SystemExit: --help was asked for, or an option is unknown.
    """
    parser = parser_of(
        "flet_app",
        "Open the chat in a window, or serve it to browsers.",
        "Each option can also be set as CHAT_APP_NAME in the environment.",
    )
    return AppSettings.load(arguments, parser)
