"""Draw the pictures of the documentation: ``python docs/screenshots.py`` (playwright, a Chromium, and our extras)."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tallyfy_async.sandbox import Sandbox

IMAGES = Path(__file__).parent / "images"
WIDTH = 124
COMMANDS = (
    ("organizations",),
    ("runs", "list", "--status", "problem", "--limit", "6"),
    ("tasks", "list", "--limit", "4"),
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def without_fonts(svg_format: str) -> str:
    """Return rich's template of an SVG without the fonts that it would load from another host."""
    begin = svg_format.index("@font-face")
    end = svg_format.index(".{unique_id}-matrix")
    return (svg_format[:begin] + svg_format[end:]).replace("Fira Code, monospace", "monospace")


def said_by(words: tuple[str, ...], environment: dict[str, str]) -> str:
    """Return what a command prints at a terminal with colours."""
    line = [sys.executable, "-m", "tallyfy_async", *words]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours


def draw_commands(sandbox: Sandbox) -> None:
    """Draw a terminal in which a few commands were called."""
    known = sandbox.credentials
    environment = {
        **os.environ,
        "COLUMNS": str(WIDTH),
        "FORCE_COLOR": "1",
        "TALLYFY_ACCESS_TOKEN": known.personal_token,
        "TALLYFY_BASE_URL": sandbox.url,
        "TALLYFY_ORGANIZATION": known.organization,
    }
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for words in COMMANDS:
        console.print(Text(f"$ python -m tallyfy_async {' '.join(words)}", style="bold"))
        console.print(Text.from_ansi(said_by(words, environment)))
    picture = console.export_svg(
        title="tallyfy_async", code_format=without_fonts(CONSOLE_SVG_FORMAT), unique_id="commands"
    )
    (IMAGES / "commands.svg").write_text(picture, "utf-8")


def draw_page(sandbox: Sandbox) -> None:
    """Photograph the sandbox's page with all operations."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        sys.exit("no Chromium on the PATH: install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 960, "height": 640})
        page.goto(sandbox.issuer + "/")
        page.wait_for_selector(".opblock")
        page.screenshot(path=IMAGES / "sandbox.png")
        browser.close()


def main() -> None:
    """Draw all of them."""
    IMAGES.mkdir(exist_ok=True)
    with Sandbox().serve() as sandbox:
        draw_commands(sandbox)
        draw_page(sandbox)


if __name__ == "__main__":
    main()
