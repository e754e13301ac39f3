"""The HTML of a report: escaped text, tables and embedded pictures in one file without scripts or links."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from fastsnf.analysis.run_report.picture import Picture, Scale

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --quiet: #888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; } .lead { font-size: 1.05rem; } .quiet { color: var(--quiet); }
table { border-collapse: collapse; margin: .4rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .15rem 1.2rem .15rem 0; }
th, td { border-bottom: 1px solid var(--soft); overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; } td { font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: flex-start; margin: .6rem 0 1rem; }
figure { margin: 0; flex: 1 1 17rem; min-width: 0; max-width: 100%; }
figure.wide { flex-basis: 100%; }
img { display: block; max-width: 100%; height: auto; background: var(--soft); }
img.small { width: 100%; image-rendering: pixelated; }
figcaption { font-size: .9rem; margin-top: .25rem; } figcaption small { color: var(--quiet); }
.scale { display: flex; gap: .5rem; align-items: center; font-size: .8rem; margin-top: .25rem; }
.scale span.bar { flex: 1; height: .6rem; border-radius: 2px; }
pre { background: var(--soft); padding: .7rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
"""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing but what is in it."""

SMALL = 400
"""Pictures of fewer pixels than this across are enlarged, pixel by pixel."""


@dataclass(frozen=True)
class Section:
    """A heading and what is below it, as HTML."""

    title: str
    parts: Sequence[str]


def page(title: str, lead: str, sections: Iterable[Section]) -> str:
    """Return the whole page; `title` and `lead` are plain text, empty sections are left out."""
    body = "".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n{''.join(section.parts)}</section>\n"
        for section in sections
        if section.parts
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n{body}</body>\n</html>\n'
    )


def paragraph(text: str, *, quiet: bool = False) -> str:
    """Return a paragraph of plain text."""
    opened = '<p class="quiet">' if quiet else "<p>"
    return f"{opened}{escape(text)}</p>\n"


def heading(text: str) -> str:
    """Return a heading below that of a section."""
    return f"<h3>{escape(text)}</h3>\n"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and what they are; nothing without rows."""
    lines = [f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows]
    return "<table>\n{}\n</table>\n".format("\n".join(lines)) if lines else ""


def listing(text: str) -> str:
    """Return lines of code, as they are."""
    return f"<pre><code>{escape(text)}</code></pre>\n"


def figures(pictures: Sequence[Picture]) -> str:
    """Return pictures side by side, as many as there is room for."""
    return '<div class="row">\n{}</div>\n'.format("".join(map(_figure, pictures))) if pictures else ""


def _figure(picture: Picture) -> str:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    note = f" <small>{escape(picture.note)}</small>" if picture.note else ""
    wide = ' class="wide"' if picture.wide else ""
    small = ' class="small"' if picture.width < SMALL else ""
    return (
        f"<figure{wide}>\n"
        f'<img{small} width="{picture.width}" height="{picture.height}" alt="{escape(picture.title)}" '
        f'src="{source}">\n'
        f"{'' if picture.scale is None else _scale(picture.scale)}"
        f"<figcaption>{escape(picture.title)}{note}</figcaption>\n</figure>\n"
    )


def _scale(scale: Scale) -> str:
    """Return the bar that says which colour is which value."""
    colours = ", ".join("rgb({}, {}, {})".format(*colour) for colour in scale.colours)
    return (
        f'<div class="scale">{escape(scale.low)}<span class="bar" '
        f'style="background: linear-gradient(to right, {colours})"></span>{escape(scale.high)}</div>\n'
    )
