"""Rules of the settings: where they come from, which goes first, what is refused and how."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from pathlib import Path

import pytest

from shared.protocol.values import NAME
from tests.realserver import ROOT
from ws_server import settings as settings_module
from ws_server.settings import Settings, SettingsRefused, host_name, load, split

FLAGS = (
    "host port web-port data realm database registration rate-limits realms public origins "
    "trusted-proxies metrics-from tls-cert tls-key log-level config"
).split()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CHAT_"):
            monkeypatch.delenv(name)


def refusal(*arguments: str) -> str:
    with pytest.raises(SettingsRefused) as refused:
        load(arguments)
    return str(refused.value)


def test_the_defaults_of_the_contract() -> None:
    found = load([])
    assert (found.listen_on, found.port, found.web_port) == (["127.0.0.1", "::1"], 8765, 8550)
    assert (found.registration, found.rate_limits, found.realms) == ("open", "on", None)
    assert (found.origins, found.networks, found.public) == ("", [], False)
    assert (found.tls_cert, found.tls_key, found.log_level) == (None, None, "info")


@pytest.mark.parametrize(
    "arguments, trial",
    [
        ((), True),
        (("--host", "127.0.0.2"), True),
        (("--host", "::1"), True),
        (("--host", "0.0.0.0"), False),
        (("--host", "::"), False),
        (("--host", "192.0.2.1"), False),
        (("--host", "chat.example.org"), False),
        (("--public",), False),
        (("--trusted-proxies", "127.0.0.1"), False),
        (("--origins", "https://chat.example.org"), False),
    ],
)
def test_a_trial_is_a_server_that_only_its_own_machine_reaches(
    arguments: tuple[str, ...], trial: bool
) -> None:
    assert load(arguments).trial is trial


def test_every_flag_of_the_contract_is_an_option_with_a_description() -> None:
    parser = argparse.ArgumentParser()
    Settings.add_arguments(parser)
    text = parser.format_help()
    for flag in FLAGS:
        assert f"--{flag} " in text or f"--{flag}\n" in text or f"--{flag}]" in text
    assert {name.replace("_", "-") for name in Settings.model_fields} >= set(FLAGS)
    assert all(field.description for field in Settings.model_fields.values())


def test_the_page_on_settings_explains_each_and_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.split("## Settings\n")[1].split("\n## ")[0]
    first = "".join(re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE))
    assert sorted(re.findall(r"`--([\w-]+)`", first)) == sorted(
        name.replace("_", "-") for name in Settings.model_fields
    )


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chat.toml"
    file.write_text('port = 1001\nrealm = "from-file"\nlog-level = "debug"\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("CHAT_PORT", "1002")
    monkeypatch.setenv("CHAT_REALM", "from-env")
    found = load(["--port", "1003", "--config", str(file)])
    assert (found.port, found.realm, found.log_level) == (1003, "from-env", "debug")
    assert found.listen_on == ["0.0.0.0"]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_file_written_on_windows_is_read(tmp_path: Path, ends: str) -> None:
    file = tmp_path / "chat.toml"
    file.write_bytes(f'\ufeffport = 1001{ends}realm = "böb"{ends}'.encode())
    assert "--realm" in refusal("--config", str(file))
    file.write_bytes(f"\ufeffport = 1001{ends}public = true{ends}".encode())
    found = load(["--config", str(file)])
    assert (found.port, found.public) == (1001, True)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("port = 1001".encode("utf-16"), "is UTF-16, as Windows writes it; it must be UTF-8"),
        ("port = 1001".encode("utf-16-le"), "is UTF-16"),
        ("realm = 'b\u00f6b'".encode("latin-1"), "is not UTF-8 (byte 11); it must be UTF-8"),
    ],
)
def test_a_file_of_another_encoding_is_told_so(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "chat.toml"
    file.write_bytes(content)
    assert f"--config {file}: {why}" in refusal("--config", str(file))
    assert "Is a directory" in refusal("--config", str(tmp_path))


def test_variables_from_a_file_written_on_windows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "1001\r")
    monkeypatch.setenv("CHAT_REGISTRATION", "closed\r")
    monkeypatch.setenv("\ufeffCHAT_HOST", "0.0.0.0")
    assert (load([]).port, load([]).registration) == (1001, "closed")
    assert Settings.unknown_variables() == [r"\ufeffCHAT_HOST"]


def test_the_file_may_be_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("port = 1001\npublic = true\n")
    monkeypatch.setenv("CHAT_CONFIG", str(file))
    found = load([])
    assert (found.port, found.public) == (1001, True)


@pytest.mark.parametrize("flag", [name for name in FLAGS if name not in ("config", "public")])
def test_every_setting_can_come_from_each_source(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "port": "1234",
        "web-port": "1235",
        "registration": "closed",
        "rate-limits": "off",
        "realms": "admin",
        "origins": "https://chat.example.org",
        "trusted-proxies": "10.0.0.0/8",
        "metrics-from": "10.0.0.9",
        "log-level": "error",
    }
    value, name = values.get(flag, "x"), flag.replace("-", "_")
    # A certificate and its key go together.
    other = {"tls-cert": "tls-key", "tls-key": "tls-cert"}.get(flag)
    pair = {flag: value, **({other: "y"} if other else {})}
    by_option = load([word for f, v in pair.items() for word in (f"--{f}", v)])
    with monkeypatch.context() as patched:
        for f, v in pair.items():
            patched.setenv(f"CHAT_{f.replace('-', '_').upper()}", v)
        by_environment = load([])
    file = tmp_path / "chat.toml"
    file.write_text("".join(f'{f} = "{v}"\n' for f, v in pair.items()))
    by_file = load(["--config", str(file)])
    found = [str(getattr(s, name)) for s in (by_option, by_environment, by_file)]
    assert found == [value] * 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "70000"], "--port"),
        (["--port", "http"], "--port"),
        (["--realm", "no spaces"], "--realm"),
        (["--realm", ""], "--realm"),
        (["--realm", "x" * 33], "--realm"),
        (["--registration", "maybe"], "--registration"),
        (["--rate-limits", "yes"], "--rate-limits"),
        (["--log-level", "loud"], "--log-level"),
        (["--trusted-proxies", "10.0.0.0/8, somewhere"], "--trusted-proxies"),
        (["--tls-cert", "cert.pem"], "--tls-cert and --tls-key go together"),
        (["--tls-key", "key.pem"], "--tls-cert and --tls-key go together"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(arguments: list[str], named: str) -> None:
    text = refusal(*arguments)
    assert text.startswith(named) and len(text.splitlines()) == 1


def test_a_wrong_switch_is_told_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PUBLIC", "maybe")
    assert refusal() == "--public (CHAT_PUBLIC): must be true or false, not 'maybe'"


def test_all_wrong_settings_are_named_at_once() -> None:
    text = refusal("--port", "x", "--registration", "x")
    assert "--port" in text and "--registration" in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("port = ", "Invalid"),
        ("colour = 1", "there is no setting colour"),
        ("[server]\nport = 1", "there is no setting server"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "chat.toml"
    file.write_text(content)
    text = refusal("--config", str(file))
    assert str(file) in text and told in text


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal("--config", str(tmp_path / "no.toml"))


def test_an_unknown_option_ends_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(["--colour", "red"])
    assert "--colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("machine", "realm"),
    [
        ("alpha", "alpha"),
        ("alpha.example.org", "alpha"),
        ("my machine", "my-machine"),
        ("x" * 60, "x" * 32),
        ("", "realm"),
        ("büro", "b-ro"),
    ],
)
def test_the_realm_is_named_as_the_host(
    machine: str, realm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module.socket, "gethostname", lambda: machine)
    assert host_name() == realm
    assert NAME.fullmatch(realm)


def test_lists_are_written_with_commas() -> None:
    assert split(" a, b ,,c ") == ["a", "b", "c"]
    networks = load(["--trusted-proxies", "10.1.2.3/8, ::1"]).networks
    assert networks == [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")]


def test_variables_of_the_web_app_are_not_taken_for_misspelt_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHAT_APP_MAX_PAGES", "7")
    monkeypatch.setenv("CHAT_PROT", "1")
    assert Settings.unknown_variables() == ["CHAT_PROT"]


LINKS = {
    "CHAT_PORT": "tcp://10.43.1.2:8765",
    "CHAT_WEB_PORT": "tcp://10.43.1.3:8550",
    "CHAT_SERVICE_HOST": "10.43.1.2",
    "CHAT_SERVICE_PORT": "8765",
    "CHAT_SERVICE_PORT_HTTP": "8765",
    "CHAT_PORT_8765_TCP": "tcp://10.43.1.2:8765",
    "CHAT_PORT_8765_TCP_PROTO": "tcp",
    "CHAT_PORT_8765_TCP_PORT": "8765",
    "CHAT_PORT_8765_TCP_ADDR": "10.43.1.2",
    "CHAT_DB_PORT": "tcp://10.43.1.4:5432",
    "CHAT_DB_PORT_5432_TCP_ADDR": "10.43.1.4",
    "CHAT_ENV_LANG": "C",
}
"""What Kubernetes and Docker set for containers called chat, chat-web and chat-db."""


def test_variables_of_links_between_containers_set_nothing_and_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    found = load([])
    assert (found.port, found.web_port) == (8765, 8550)
    assert Settings.variables_of_links() == ["CHAT_PORT", "CHAT_WEB_PORT"]
    assert Settings.unknown_variables() == []
    assert load(["--port", "7000"]).port == 7000


def test_settings_that_are_addresses_may_be_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_DATABASE", "postgresql://u:p@h/d")
    monkeypatch.setenv("CHAT_ORIGINS", "https://chat.example.org")
    found = load([])
    assert (found.database, found.origins) == ("postgresql://u:p@h/d", "https://chat.example.org")
    assert Settings.variables_of_links() == []


@pytest.mark.parametrize("value", ["", " ", "\t\r\n"])
def test_empty_variables_set_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"CHAT_{name.upper()}", value)
    assert load([]) == Settings()
    assert load([]).port == 8765


def test_blanks_around_a_value_are_left_out_but_not_of_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {"REALM": " alpha ", "RATE_LIMITS": "off\r", "PUBLIC": " yes", "PORT": "\t9000 "}
    for name, value in {**values, "DATA": " my data "}.items():
        monkeypatch.setenv(f"CHAT_{name}", value)
    found = load([])
    assert (found.realm, found.rate_limits, found.public) == ("alpha", "off", True)
    assert (found.port, found.data) == (9000, Path(" my data "))


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("CHAT_PROT", "; did you mean CHAT_PORT?"),
        ("CHAT_REALM_NAME", "; did you mean CHAT_REALM?"),
        ("CHAT_NAME", ", and is passed over"),
    ],
)
def test_a_variable_that_is_not_a_setting_is_named(
    name: str, end: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, "x")
    Settings.warn()
    assert caplog.messages == [f"{name} is not a setting{end}"]


def test_a_wrong_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "8o80")
    assert refusal() == "--port (CHAT_PORT): must be a whole number, not '8o80'"


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_bytes(b'\xef\xbb\xbfrealm = "alpha"\r\n')
    assert load(["--config", str(file)]).realm == "alpha"
    file.write_bytes(b"realm = '\xff'")
    assert "must be UTF-8" in refusal("--config", str(file))
    assert "name a file" in refusal("--config", str(tmp_path))


def test_paths_need_not_be_text(monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.fsdecode(b"gr\xfcn")
    monkeypatch.setenv("CHAT_DATA", path)
    assert load(["--tls-cert", path, "--tls-key", path]).data == Path(path)
    assert "must be UTF-8" in refusal("--port", path)
