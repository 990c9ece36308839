"""The page's one file: markup, style, scripts and data put together. It asks nothing of any network.

Nothing that comes from data stands in markup: it is JSON, or compressed, in elements that are never run, and
the page's script makes text nodes of it. The policy allows the page's own scripts by their digests, and no
request to anywhere (of a page that is served: to its own server only).
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from icl.leaderboard.page.content import Content
from icl.leaderboard.page.packing import to_json
from icl.printable import visible, visible_json

VENDORED = (("d3", "d3.min.js"), ("plot", "plot.umd.min.js"))
"""Licence and file, in the order in which they are loaded; static/vendor/README.md says where from."""
SCRIPTS = (
    "elements.js",
    "store.js",
    "route.js",
    "board.js",
    "names.js",
    "figures.js",
    "statistics.js",
    "rowfigures.js",
    "study.js",
    "row.js",
    "listing.js",
    "prediction.js",
    "keys.js",
    "live.js",
    "main.js",
)


PLOT_STYLES = (
    "'sha256-jSYQUrW7J0b3jPqhZP9C2Xh1PyJKHKXd4s0fpGGKrww='",
    "'sha256-rCZUQsEQJf1DmnfnMZmlj08XC7qbIZySA6bEtitbQ00='",
    "'sha256-/jg3HOQ97BIOLIR7iXhepLJanBbw11P39q1Ne1E+6Jc='",
)
"""Of the elements with a style that Plot puts into a figure: of the drawing, of its legend, and of the legend
of a map of colours. A browser names the digest that it lacks where another version of Plot has others."""


@cache
def asset(name: str) -> str:
    """A file of the package's `static`."""
    return files("icl.leaderboard.page").joinpath("static", *name.split("/")).read_text(encoding="utf-8")


@cache
def scripts() -> tuple[str, ...]:
    """Libraries with their licences, then the page's own script, which is one scope."""
    vendored = [
        f"/*!\n{asset(f'vendor/{name}.LICENSE')}*/\n{asset(f'vendor/{file}')}" for name, file in VENDORED
    ]
    own = "\n".join(asset(name) for name in SCRIPTS)
    return (*vendored, f'(() => {{\n"use strict";\n{own}\n}})();\n')


def digests(texts: Iterable[str]) -> str:
    """Sources of a policy that allow elements with just these texts."""
    found = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in found)


@cache
def policy(*, served: bool) -> str:
    """The Content-Security-Policy of the page."""
    styles = " ".join((digests([_style()]), *PLOT_STYLES))
    return (
        f"default-src 'none'; script-src {digests(scripts())}; style-src {styles}; img-src data:; "
        f"connect-src {chr(39)}{'self' if served else 'none'}{chr(39)}; base-uri 'none'; form-action 'none'"
    )


def document(
    title: str, index: Mapping[str, Any], blocks: Mapping[str, bytes], *, served: bool = False
) -> str:
    """The whole page as text. A page that is served asks its server for the blocks."""
    data = [f'<script type="application/json" id="index">{_inert(to_json(index))}</script>']
    data += [
        f'<script type="text/plain" id="block-{name}">{base64.b64encode(block).decode()}</script>'
        for name, block in blocks.items()
    ]
    parts = {
        "policy": html.escape(policy(served=served)),
        "title": html.escape(visible(title)),
        "style": _style(),
        "data": "\n".join(data),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts()),
    }
    head, *rest = asset("page.html").split("{{")
    pieces = [head]
    for part in rest:
        name, _, after = part.partition("}}")
        pieces += [parts[name.strip()], after]
    return "".join(pieces)


def page(made: Content) -> str:
    """The report: one file with all its blocks."""
    return document(made.index["title"], made.index, made.blocks)


def _style() -> str:
    """The text between the tags of the page's style."""
    return f"\n{asset('page.css')}\n"


def _inert(json: str) -> str:
    """JSON that no HTML parser takes for the end of its element, or the beginning of a comment, and that
    steers no terminal on which the file is looked at."""
    return visible_json(json.replace("<", "\\u003c"))
