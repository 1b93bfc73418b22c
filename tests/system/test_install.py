"""The package: built, installed into a clean environment, and started from any folder."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.realserver import ROOT, RealServer
from tests.system.product import copy_product
from ws_server import __version__

pytestmark = pytest.mark.system

PACKAGES = {"shared", "ws_server", "flet_app", "terminal_app"}


def pip(*arguments: str, python: str = sys.executable) -> None:
    """Run the tests' pip for an environment, without the network."""
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from the tracked files."""
    source = copy_product(tmp_path_factory.mktemp("source"))
    built = tmp_path_factory.mktemp("built")
    pip("wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", str(built), str(source))
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the package and what the tests' has."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    pip("install", "--no-index", "--no-deps", str(wheel), python=python)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_package_holds_the_product_alone(wheel: Path) -> None:
    assert wheel.name.startswith(f"simple_chatting-{__version__}-py3-")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, f"simple_chatting-{__version__}.dist-info"}
    assert "ws_server/store/migrations/script.py.mako" in names
    assert f"simple_chatting-{__version__}.dist-info/licenses/LICENSE" in names
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    fonts = [file for file in (ROOT / "flet_app" / "assets").rglob("*") if file.is_file()]
    assert len(fonts) > 600
    assert {str(file.relative_to(ROOT)) for file in fonts} <= set(names)


def test_the_installed_program_serves_from_any_folder(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "ws_server").mkdir()  # must not be taken for the product's
    (tmp_path / "flet_app").mkdir()
    server = RealServer(tmp_path, "--web-port", "0")
    server.program, server.cwd = (str(programs / "simple-chatting"),), tmp_path
    server.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=10) as answer:
            assert answer.read() == b"ready\n"
        assert (server.data / "chat.db").exists()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.web_port}/", timeout=30) as page:
            assert b"<title>Simple Chatting</title>" in page.read()
        assert server.stop() == 0
    finally:
        server.kill()


def test_the_installed_program_tells_its_version(programs: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        [programs / "simple-chatting", "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (told.returncode, told.stdout) == (0, f"Simple Chatting {__version__}\n")
