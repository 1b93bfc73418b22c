"""Rules of the desktop app, up to the window: its program is Flet's, and is not here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realserver import ROOT
from tests.system.product import run_chat

pytestmark = pytest.mark.system


@pytest.fixture
def window(tmp_path: Path) -> Path:
    """A folder for FLET_VIEW_PATH with what stands for Flet's program."""
    program = tmp_path / "window" / "flet"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.flet_app.window "$@"\n')
    program.chmod(0o755)
    return program.parent


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "DISPLAY" and not name.startswith(("FLET_", "CHAT_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "flet_app", *options],
        cwd=ROOT,
        env={**kept, "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_window_is_shown_the_first_page(tmp_path: Path, window: Path, temporary: Path) -> None:
    shown = tmp_path / "shown"
    done = run(
        tmp_path,
        DISPLAY=":99",
        TMPDIR=str(temporary),
        FLET_VIEW_PATH=str(window),
        WAIT_FOR="Sign in",
        SHOWN=str(shown),
        # Would make Flet open a port to everybody instead.
        FLET_FORCE_WEB_SERVER="true",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sign in" in shown.read_text()
    assert list(temporary.iterdir()) == []


def test_without_a_display_it_says_what_to_do(tmp_path: Path) -> None:
    refused = run(tmp_path)
    assert refused.returncode == 1 and refused.stdout == ""
    assert "DISPLAY is not set" in refused.stderr and "flet_app --web" in refused.stderr


def test_a_folder_too_deep_for_a_socket_is_named(tmp_path: Path, window: Path) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    refused = run(tmp_path, DISPLAY=":99", FLET_VIEW_PATH=str(window), TMPDIR=str(deep))
    assert refused.returncode == 1 and str(deep) in refused.stderr
    assert "Set TMPDIR" in refused.stderr and "Traceback" not in refused.stderr


def test_a_program_that_cannot_be_fetched_is_one_sentence(tmp_path: Path) -> None:
    refused = run(tmp_path, DISPLAY=":99", FLET_CLIENT_URL=f"file://{tmp_path}/none.tar.gz")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "FLET_CLIENT_URL=" in refused.stderr and "FLET_VIEW_PATH" in refused.stderr


def test_a_folder_without_the_program_is_refused(tmp_path: Path) -> None:
    refused = run(tmp_path, DISPLAY=":99", FLET_VIEW_PATH=str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"FLET_VIEW_PATH={tmp_path} holds none of flet,")


def test_a_program_that_does_not_start_leads_to_what_it_needs(
    tmp_path: Path, window: Path, temporary: Path
) -> None:
    refused = run(tmp_path, DISPLAY=":99", FLET_VIEW_PATH=str(window), TMPDIR=str(temporary))
    assert refused.returncode == 1
    assert "libgtk-3.so.0" in refused.stderr and "apt-get install libgtk-3-0" in refused.stderr


@pytest.mark.parametrize(
    "options, why",
    [
        (["--server", "http://localhost"], "--server (CHAT_APP_SERVER)"),
        (["--web", "--port", "x"], "--port (CHAT_APP_PORT): must be a whole number"),
        (["--web", "--tls-cert", "c.pem"], "--tls-cert and --tls-key go together"),
        (["--web", "--tls-cert", "no.pem", "--tls-key", "no.pem"], "Both must be PEM files"),
        (["--web", "--host", "192.0.2.1"], "Cannot listen on --host 192.0.2.1"),
        (["--web", "--sockets", "x"], "--sockets (CHAT_APP_SOCKETS): must be numbers"),
        (["--web", "--sockets", "77"], "Cannot listen"),
        (["--trusted-proxies", "x"], "--trusted-proxies (CHAT_APP_TRUSTED_PROXIES)"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, options: list[str], why: str) -> None:
    refused = run(tmp_path, *options)
    assert refused.returncode == 1 and why in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_variable_that_is_no_setting_is_told(tmp_path: Path) -> None:
    told = run(tmp_path, CHAT_APP_SERVR="x").stderr
    assert "CHAT_APP_SERVR is not a setting; did you mean CHAT_APP_SERVER?" in told


def test_the_script_starts_it(tmp_path: Path) -> None:
    told = run_chat(ROOT / "chat", "help", cwd=tmp_path)
    assert "\n  app [--server ws://...]" in told.stdout
