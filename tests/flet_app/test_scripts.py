"""The page's own scripts, as the site serves them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from flet_app.site import SCRIPTS, Site
from flet_app.web import policy


@pytest.mark.system
def test_the_scripts_are_well_formed() -> None:
    node = Path(compute_driver_executable()[0])
    for script in sorted(SCRIPTS.glob("*.js")):
        with open(script, "rb") as source:
            done = subprocess.run(
                [node, "--check", "--input-type=module"], stdin=source, capture_output=True
            )
        assert done.returncode == 0, f"{script.name}: {done.stderr.decode()}"


def test_the_page_runs_them_first_and_by_no_looser_policy(tmp_path: Path) -> None:
    site = Site(tmp_path)
    page = site.index
    ours, engine = page.index('src="/page/start.js"'), page.index('src="flutter_bootstrap.js"')
    assert ours < engine and "async" not in page[engine : engine + 60]
    for name in re.findall(r'"/page/([a-z]+\.js)"', page):
        assert (SCRIPTS / name).is_file()
    scripts = next(part for part in policy(site.inline_scripts).split("; ") if "script-src" in part)
    assert "'unsafe-inline'" not in scripts and "'unsafe-eval'" not in scripts
    assert "http" not in scripts and "*" not in scripts
