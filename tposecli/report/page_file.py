"""The HTML file: template, style, scripts and data in one, with a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

SCRIPTS: Final = (
    *("data.js", "state.js", "draw.js", "player.js", "lanes.js", "curves.js", "why.js", "lists.js"),
    *("photos.js", "takeaway.js", "main.js"),
)
"""The page's own scripts, in the order in which they need one another."""


def make_page(title: str, head: Mapping[str, Any], blocks: Mapping[str, bytes], linked: bool) -> bytes:
    """Return the page.

    Args:
        title: Of the window.
        head: Everything that is no array, ready for JSON.
        blocks: Arrays and the video, by name.
        linked: Whether a video beside the page is played.
    """
    uplot, own, style = _vendor("uplot.min.js"), _scripts(), _text("style.css") + _vendor("uplot.min.css")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(uplot)} {_hash(own)}",
            f"style-src {_hash(style)}",
            "img-src data: blob:",
            f"media-src blob:{' file: http: https:' if linked else ''}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    data = "\n".join(
        f'<script type="text/plain" id="data-{name}">{base64.b64encode(block).decode()}</script>'
        for name, block in blocks.items()
    )
    page = _text("page.html")
    fields = {
        "policy": html.escape(policy, quote=True).replace("&#x27;", "'"),
        "title": html.escape(visible(title)),
        "style": style,
        "head": as_script_json(head),
        "data": data,
        "uplot": uplot,
        "scripts": own,
    }
    for name, value in fields.items():
        before, mark, after = page.partition(f"<!--{name}-->")
        assert mark, name
        page = before + value + after
    return page.encode("utf-8", "backslashreplace")


def as_script_json(value: Any) -> str:
    """Return JSON that may stand in a script element: it cannot end it, nor begin a comment."""
    text = json.dumps(_visible(value), allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def visible(text: str) -> str:
    """Return text with control characters and marks of direction shown as escapes, so that names say what they are."""
    return "".join(
        ch if ch.isprintable() or ch == " " else ch.encode("unicode_escape", "backslashreplace").decode() for ch in text
    )


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {key: _visible(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(each) for each in value]
    return value


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@lru_cache
def _scripts() -> str:
    """Return the page's own scripts as one, in a scope of their own."""
    return '(() => {\n"use strict";\n' + "\n".join(map(_text, SCRIPTS)) + "\n})();\n"


@lru_cache
def _text(name: str) -> str:
    return files("tposecli.report").joinpath("page", name).read_text("utf-8")


@lru_cache
def _vendor(name: str) -> str:
    return files("tposecli.report").joinpath("vendor", name).read_text("utf-8")
