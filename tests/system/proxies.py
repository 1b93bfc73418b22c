"""The reverse proxies of docs/deploy, with their very files, on free ports of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.realserver import ROOT, START_LIMIT

DEPLOY = ROOT / "docs" / "deploy"
HOST = "chat.example.org"
FETCHED = Path(sys.prefix) / "proxies" / "usr"
PLACES = os.pathsep.join([os.environ["PATH"], "/usr/sbin", f"{FETCHED}/sbin", f"{FETCHED}/bin"])
NGINX = """\
daemon off;
pid nginx.pid;
error_log nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{site}
}}
"""
CADDY = """\
{{
	admin off
	auto_https off
}}
{site}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def changed(file: str, *changes: tuple[str, str]) -> str:
    """Return a file of docs/deploy with other paths and ports."""
    text = (DEPLOY / file).read_text()
    for old, new in changes:
        assert old in text, f"{file} has no {old!r}"
        text = text.replace(old, new)
    return text


def make_certificate(folder: Path) -> None:
    """Write a self-signed certificate for HOST, named as certbot names its files."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={HOST}",
                "-addext",
                f"subjectAltName=DNS:{HOST}",
            ),
            *("-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")),
        ],
        check=True,
        capture_output=True,
    )


class Proxy:
    """One that runs in front of a server on `port`; skips the test if it is not installed.

    Args:
        web_port: Where the web app is; by default where nobody listens.
    """

    def __init__(
        self, folder: Path, port: int, name: str, timeout: str = "60s", web_port: int = 9
    ) -> None:
        program = shutil.which(name, path=PLACES)
        if program is None:
            pytest.skip(f"{name} is missing; ./chat test fetches it with apt-get")
        folder.mkdir()
        make_certificate(folder)
        self.tls = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        self.port, self.plain_port = free_port(), free_port()
        self._web_port = web_port
        self._log = folder / f"{name}.log"
        configure = self._nginx if name == "nginx" else self._caddy
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [program, *configure(folder, port, timeout)],
                cwd=folder,
                env={**os.environ, "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait()

    def _nginx(self, folder: Path, port: int, timeout: str) -> list[str]:
        site = changed(
            "nginx.conf",
            ("    listen [::]:80;\n", ""),
            ("    listen [::]:443 ssl;\n", ""),
            ("listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (f"/etc/letsencrypt/live/{HOST}", str(folder)),
            ("127.0.0.1:8765", f"127.0.0.1:{port}"),
            ("127.0.0.1:8550", f"127.0.0.1:{self._web_port}"),
            ("proxy_read_timeout 60s", f"proxy_read_timeout {timeout}"),
        )
        # Workers are of the same user, who alone may enter the folder of the test.
        user = "user root;\n" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(user + NGINX.format(site=site))
        return ["-p", str(folder), "-e", str(self._log), "-c", str(folder / "nginx.conf")]

    def _caddy(self, folder: Path, port: int, timeout: str) -> list[str]:
        certificate = f"\ttls {folder}/fullchain.pem {folder}/privkey.pem\n"
        site = changed(
            "Caddyfile",
            (f"{HOST} {{\n", f"https://{HOST}:{self.port} {{\n\tbind 127.0.0.1\n{certificate}"),
            ("127.0.0.1:8765", f"127.0.0.1:{port}"),
            ("127.0.0.1:8550", f"127.0.0.1:{self._web_port}"),
        )
        (folder / "Caddyfile").write_text(CADDY.format(site=site))
        return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"the proxy did not start:\n{self._log.read_text()}")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
