"""A report as one self-contained HTML file: counts, thumbnails and the SQL of each count.

Belongs here: markup. Does not belong here: the questions (``questions.py``), and making thumbnails (the medium).
"""

from collections.abc import Callable
from html import escape

from arot_assets.drawing import data_uri
from arot_assets.local_paths import LocalPaths
from arot_assets.report.answers import Example, Report, ReportItem

Thumbnail = Callable[[Example], bytes | None]
"""A small JPEG, PNG or WebP of an example; None if it cannot be shown."""

STYLE = """
:root { color-scheme: light dark; --ink: #26262e; --faint: #8a8a94; --paper: #fff; --tile: #f4f4f7; --bar: #4868b0 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6ea; --faint: #94949e; --paper: #1b1b20; --tile: #26262c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1100px;
  margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } td { padding: .2rem .6rem .2rem 0; vertical-align: baseline }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } a { color: inherit }
.bar { background: var(--bar); height: .6rem; border-radius: 2px; min-width: 1px }
h2 { margin: 2.2rem 0 .2rem } p.advice, figcaption, .none { color: var(--faint) }
.sheet { display: flex; flex-wrap: wrap; gap: .6rem; margin: .8rem 0 }
figure { margin: 0; width: 128px; font-size: 12px; overflow-wrap: anywhere }
figure div { width: 128px; height: 128px; background: var(--tile); display: flex; align-items: center; justify-content: center }
pre { background: var(--tile); padding: .6rem; overflow-x: auto; font-size: 13px }
"""


def page(answers: Report, thumbnail: Thumbnail, paths: LocalPaths, more: str = "") -> str:
    """The whole page. It may be passed on, so it contains no local paths.

    Args:
        answers: what was found.
        thumbnail: creates the thumbnails; called once for each example.
        paths: knows the sources of the dataset.
        more: a further part, at the end.
    """
    found = sorted((a for a in answers.asked if a.rows), key=lambda a: -a.rows)
    counts = ", ".join(f"{rows:,} {escape(status)}" for status, rows in answers.statuses.items())
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(answers.dataset)}: report</title>",
        "<meta name=viewport content='width=device-width'>",
        f"<style>{STYLE}</style><h1>{escape(answers.dataset)}</h1><p>{answers.rows:,} rows: {counts}.</p>",
        "<table>",
        *(_line(a, answers.rows) for a in found),
        "</table>",
    ]
    quiet = ", ".join(escape(a.question.title) for a in answers.asked if not a.rows)
    parts.append(f"<p class=none>Nothing found: {quiet}.</p>" if quiet else "")
    for table in sorted({q.table for q in answers.unasked}):
        names = ", ".join(escape(q.name) for q in answers.unasked if q.table == table)
        parts.append(
            f"<p class=none>Not answered ({names}): the dataset has no metric <code>{escape(table)}</code>.</p>"
        )
    parts += [*(_section(a, thumbnail, paths) for a in found), more]
    return "\n".join(parts) + "\n"


def _line(answer: ReportItem, rows: int) -> str:
    share = answer.rows / rows
    return (
        f"<tr><td class=n>{answer.rows:,}<td class=n>{share:.1%}<td style='width:30%'>"
        f"<div class=bar style='width:{share:.1%}'></div><td><a href='#{answer.question.name}'>"
        f"{escape(answer.question.title)}</a>"
    )


def _section(answer: ReportItem, thumbnail: Thumbnail, paths: LocalPaths) -> str:
    figures = "".join(figure(example, thumbnail(example), paths) for example in answer.examples)
    more = answer.rows - len(answer.examples)
    rest = f"<p class=none>and {more:,} more</p>" if more > 0 else ""
    return (
        f"<h2 id='{answer.question.name}'>{answer.rows:,} {escape(answer.question.title)}</h2>"
        f"<p class=advice>{escape(answer.question.advice)}</p><div class=sheet>{figures}</div>{rest}"
        f"<details><summary>SQL</summary><pre>{escape(answer.sql)}</pre></details>"
    )


def figure(example: Example, picture: bytes | None, paths: LocalPaths) -> str:
    """An example with its picture and what is shown of it."""
    uri, shows = escape(paths.removed(example.uri)), escape(paths.removed(example.shows))
    name = uri.rsplit("/", 1)[-1]
    shown = f"<img alt='{name}' src='{data_uri(picture)}'>" if picture else "<span class=none>no picture</span>"
    words = f"{name}<br>{shows}"
    return f"<figure title='{uri}'><div>{shown}</div><figcaption>{words}</figcaption></figure>"
