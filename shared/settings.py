"""What the settings of every program have in common: how they are read, shown and refused.

The command line goes before the environment; a program may add a file behind both.

Variables are not always meant for this program. Kubernetes and Docker describe a container called
`chat` to all others by CHAT_PORT=tcp://10.43.1.2:8765, CHAT_SERVICE_HOST and more, so an address
where none is wanted is passed over, with a warning.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, TypeVar, get_args, get_origin

from pydantic import AfterValidator, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from shared.faults import shown
from shared.program_name import program_name

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

log = logging.getLogger(__name__)

PLAIN = {
    "int_parsing": "must be a whole number",
    "bool_parsing": "must be true or false",
    "string_too_short": "must not be empty",
    "string_type": "must be one text; lists are written with commas",
    "string_unicode": "must be UTF-8",
}
"""The library's own sentences, put plainly."""
MAX_SHOWN_CHARACTERS = 80
"""Characters of a wrong value that is shown."""
WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+):\d+")
OF_LINKS = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$|_ENV_\w+$"
)
"""Ends of variables that Kubernetes and Docker make for a container, whatever they hold."""


class SettingsRefused(Exception):
    """A setting is wrong; the text tells which one and why."""


class CommonSettings(BaseSettings):
    """The settings of a program; each field with its default and a description."""

    belongs_to_others: ClassVar[tuple[str, ...]] = ()
    """Beginnings of variables that have this program's prefix, but are another program's."""
    addresses: ClassVar[tuple[str, ...]] = ()
    """The settings whose values may be URLs."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        environment = cls.from_environment()
        file = cls.from_file({**environment, **init_settings()})
        return (
            init_settings,
            InitSettingsSource(settings_cls, environment),
            InitSettingsSource(settings_cls, file),
        )

    @classmethod
    def from_file(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a file sets; a program without one has nothing here.

        Args:
            given: What the command line and the environment set, such as the file's path.
        """
        return {}

    @classmethod
    def from_environment(cls) -> dict[str, Any]:
        """Return what the environment sets: empty variables and addresses of links set nothing."""
        found = {}
        for name, field in cls.model_fields.items():
            value = os.environ.get(cls.variable(name), "")
            # Blanks around a value, and a line end of another system, are never meant, except
            # that a path may have them.
            if field.annotation not in (Path, Path | None):
                value = value.strip()
            if value.strip() and not cls._is_of_link(name, value):
                found[name] = value
        return found

    @classmethod
    def variable(cls, name: str) -> str:
        """Return the variable of a setting."""
        return f"{cls.prefix()}{name.upper()}"

    @classmethod
    def _is_of_link(cls, name: str, value: str) -> bool:
        return "://" in value and name not in cls.addresses

    @classmethod
    def variables_of_links(cls) -> list[str]:
        """Return the program's variables that hold an address where none is wanted."""
        return [
            cls.variable(name)
            for name in cls.model_fields
            if cls._is_of_link(name, os.environ.get(cls.variable(name), ""))
        ]

    @classmethod
    def prefix(cls) -> str:
        """Return how the program's variables in the environment begin."""
        return str(cls.model_config.get("env_prefix"))

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Give a parser one option for each setting."""
        for name, field in cls.model_fields.items():
            flag = "--" + name.replace("_", "-")
            shown = field.get_default(call_default_factory=True, validated_data={})
            text = field.description or ""
            if shown not in (None, "", False):
                text += f" (default: {shown})"
            kinds = (field.annotation, *get_args(field.annotation))
            choice = next((kind for kind in kinds if get_origin(kind) is Literal), None)
            if choice is not None:
                value = "|".join(get_args(choice))
            elif int in kinds:
                value = "N"
            elif Path in kinds:
                value = "PATH"
            else:
                value = name.rpartition("_")[2].upper()
            if field.annotation is bool:
                parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=text)
            else:
                parser.add_argument(flag, metavar=value, default=argparse.SUPPRESS, help=text)

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """Return the program's variables that are no setting, likely misspelt."""
        known = {cls.variable(name) for name in cls.model_fields}
        return sorted(
            name.replace("\ufeff", r"\ufeff")
            for name, value in os.environ.items()
            # Where a file of variables begins with a byte order mark, its first one does.
            if name.removeprefix("\ufeff").startswith(cls.prefix())
            and not name.startswith(cls.belongs_to_others)
            and name not in known
            and not OF_LINKS.search(name)
            and "://" not in value
        )

    @classmethod
    def warn(cls) -> None:
        """Log which variables of the environment set nothing."""
        for name in cls.variables_of_links():
            log.warning(
                "%s is passed over: it holds an address (://), as links between containers do; "
                "give the setting on the command line, or rename the container",
                name,
            )
        for name in cls.unknown_variables():
            log.warning("%s is not a setting%s", name, cls._meant(name))

    @classmethod
    def _meant(cls, unknown: str) -> str:
        """Return the end of a sentence on an unknown variable: which one may have been meant."""
        import difflib  # seldom wanted

        known = [cls.variable(name) for name in cls.model_fields]
        close = difflib.get_close_matches(unknown, known, 1, cutoff=0.8)
        return f"; did you mean {close[0]}?" if close else ", and is passed over"

    @classmethod
    def load(cls, arguments: Sequence[str], parser: argparse.ArgumentParser) -> Self:
        """Read all sources; the parser gets an option for each setting.

        Raises:
            SettingsRefused: a setting is wrong.
            SystemExit: --help was asked for, or an option is unknown.
        """
        cls.add_arguments(parser)
        return cls.from_arguments(vars(parser.parse_args(arguments)))

    @classmethod
    def from_arguments(cls, given: Mapping[str, Any]) -> Self:
        """Read the other sources for what the command line has not given.

        Raises:
            SettingsRefused: a setting is wrong.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            raise SettingsRefused(
                "\n".join(cls._explained(fault) for fault in error.errors())
            ) from None

    @classmethod
    def _explained(cls, fault: Any) -> str:
        """Return one sentence on a wrong setting, naming it as each source does."""
        why = PLAIN.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
        why = why.replace("Input should be", "must be")
        given = fault["input"]
        if isinstance(given, str) and len(given) <= MAX_SHOWN_CHARACTERS and repr(given) not in why:
            why += f", not {shown(given)!r}" if given.isprintable() else f", not '{shown(given)}'"
        if not fault["loc"]:
            return str(why)
        name = str(fault["loc"][0])
        return f"--{name.replace('_', '-')} ({cls.variable(name)}): {why}"


class TlsPair(Protocol):
    """Settings that name a certificate."""

    tls_cert: Path | None
    tls_key: Path | None


Pair = TypeVar("Pair", bound=TlsPair)


def check_tls_pair(settings: Pair) -> Pair:
    """Refuse a certificate without its key, and a key without its certificate.

    Raises:
        ValueError: one is missing.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ValueError("--tls-cert and --tls-key go together")
    return settings


def tls_context(settings: TlsPair) -> ssl.SSLContext | None:
    """Return what serves TLS with the certificate of the settings; None if they name none.

    Raises:
        SettingsRefused: the certificate cannot be read, or the key does not fit.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    # Only here, because it takes a while to load.
    from shared import certificates

    try:
        return certificates.tls_context(settings.tls_cert, settings.tls_key)
    except certificates.BadCertificate as error:
        raise SettingsRefused(str(error)) from error


def parser_of(module: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Return a parser that names the program as the user started it."""
    return argparse.ArgumentParser(program_name(module), description=description, epilog=epilog)


def split(text: str) -> list[str]:
    """Return the parts of a list written with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def networks(text: str) -> list[Network]:
    """Return the networks of a list written with commas.

    Raises:
        ValueError: one of them is none.
    """
    return [ipaddress.ip_network(part, strict=False) for part in split(text)]


def _checked_networks(text: str) -> str:
    networks(text)
    return text


NetworkList = Annotated[str, AfterValidator(_checked_networks)]
"""Networks written with commas."""


def hosts(host: str) -> list[str]:
    """Return the addresses to listen on."""
    return ["127.0.0.1", "::1"] if host == "localhost" else [host]


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return whom the limits count: the peer, or who a trusted proxy says it speaks for.

    Args:
        peer: Address of the connection's other end.
        forwarded: Values of the `X-Forwarded-For` headers, in order.
    """
    if not is_trusted(peer, trusted):
        return peer
    for hop in map(_without_port, reversed(split(",".join(forwarded)))):
        if not is_trusted(hop, trusted):
            return hop if is_address(hop) else peer
    return peer


def _without_port(hop: str) -> str:
    """Return a hop without its port, which some proxies add: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    found = WITH_PORT.fullmatch(hop)
    return hop if found is None else found[1] or found[2]


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Tell whether an address is in one of the networks."""
    if not trusted or not is_address(address):
        return False
    found = ipaddress.ip_address(address)
    # A socket for both versions of IP shows an IPv4 peer as ::ffff:192.0.2.1.
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in trusted)


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
