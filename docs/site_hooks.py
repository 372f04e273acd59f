"""Hooks of the site's build: roles of docstrings become code, and no page may need another host."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

_ROLE = re.compile(r":(?:meth|class|func|attr|mod|exc):(?=<code)")
_LITERAL = re.compile(r"::(?=</p>)")
_FOREIGN = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^\s"'>]+"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|icon|preload|preconnect))[^>]*\bhref=["']?(?:https?:)?//[^\s"'>]+"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//[^\s"');]+"""
    r"""|url\(\s*["']?(?:https?:)?//[^\s"')]+"""
)


def on_page_content(html: str, **_: Any) -> str:
    """Drop the marks of reStructuredText that docstrings bear for readers of the source."""
    return _LITERAL.sub(":", _ROLE.sub("", html))


def on_post_build(config: Any, **_: Any) -> None:
    """Refuse a site whose pages load anything from another host."""
    site = Path(config["site_dir"])
    for path in sorted(site.rglob("*")):
        if path.suffix in {".html", ".css", ".svg"}:
            found = _FOREIGN.search(path.read_text("utf-8"))
            if found is not None:
                sys.exit(f"{path.relative_to(site)} loads from another host: {found[0]}")
