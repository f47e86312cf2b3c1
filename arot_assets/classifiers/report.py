"""What is shown after a training: the page of a model, and the contact sheet of its worst mistakes.

Belongs here: selection and layout. Does not belong here: figures (``evaluation.py``), curves (``plots.py``), drawing
(``drawing.py``).
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.evaluation import SMALL_SLICE, Evaluation
from arot_assets.classifiers.plots import learning_curves, reliability_diagram
from arot_assets.datasets.places import Place
from arot_assets.media.file import DecodeError
from resources.storage import StorageError

TILE = 120
COLUMNS = 6
SHOWN = 18

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #26262e; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .35rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; } tr + tr { border-top: 1px solid #dedee4; }
.missed { background: #fde8e4; padding: .6rem 1rem; } .passed { background: #e4f4e8; padding: .6rem 1rem; }
img { max-width: 100%; } code { background: #f1f1f4; padding: 0 .25rem; }
"""


def mistake_sheet(place: Place, evaluation: Evaluation, uris: Mapping[str, str]) -> bytes | None:
    """A JPEG of the test samples that the model is most confidently wrong about; None if there are none.

    Args:
        place: of the dataset.
        evaluation: contains the mistakes.
        uris: sample id -> uri; a sample that has disappeared since is not shown.
    """
    from arot_assets.drawing import contact_sheet

    files = place.files({uri: sample_id for sample_id, uri in uris.items()})
    posters, texts = [], []
    for mistake in evaluation.mistakes[:SHOWN]:
        try:
            posters.append(place.medium.poster(files(uris[mistake.sample_id]), TILE))
        except (KeyError, StorageError, DecodeError):
            continue
        texts.append(
            f"is {mistake.label}\nsaid {mistake.predicted} ({mistake.confidence:.2f})\n{mistake.sample_id[:16]}"
        )
    return contact_sheet(posters, texts, columns=COLUMNS, tile=TILE) if posters else None


def html_report(
    declaration: ClassifierDeclaration,
    evaluation: Evaluation,
    about: Mapping[str, Any],
    curves: Sequence[Mapping[str, Any]],
    sheet: bytes | None,
    missed: str,
) -> bytes:
    """One self-contained page: verdict, figures beside those of baselines, slices, calibration, mistakes, provenance.

    Args:
        declaration: of the model.
        evaluation: on the test set.
        about: facts about the training.
        curves: a row an epoch.
        sheet: a JPEG of the worst mistakes.
        missed: why it was not promoted; empty if it was.
    """
    from arot_assets.drawing import data_uri

    name = html.escape(declaration.name)
    verdict = (
        f'<p class="missed">Not promoted: {html.escape(missed)}.</p>' if missed else '<p class="passed">Promoted.</p>'
    )
    compared = f"<p>{html.escape(str(about.get('compared', '')).capitalize())}.</p>" if about.get("compared") else ""
    pictures = f'<img alt="worst mistakes" src="{data_uri(sheet)}">' if sheet else "<p>None on the test samples.</p>"
    sections = [
        ("Confusion matrix", _confusion(evaluation) if evaluation.confusion else ""),
        ("Classes", _table(evaluation.by_class)),
        ("Slices", _slices(evaluation)),
        ("Calibration", _calibration(evaluation)),
        ("Learning curves", _figure(learning_curves(curves))),
        ("Worst mistakes", f"<p>The truth, the prediction with how wrong it is, and the sample's id.</p>{pictures}"),
        ("Provenance", _provenance(about)),
    ]
    rest = "".join(f"<h2>{title}</h2>{content}" for title, content in sections if content)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head><body> <h1>{name}</h1>
<p>{html.escape(declaration.description)}</p> {verdict}{compared} <h2>Figures</h2> <p>On {evaluation.samples:,} test samples in
{evaluation.groups:,} groups, none of which shares a group (near duplicates, and what the labels declare) with a training
sample. Intervals: 95 %, bootstrap over groups. A baseline is what something trivial reaches on the same samples.</p>
{_figures(evaluation)} {rest} </body></html>""".encode()


def figure_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """The model and each baseline, a row a figure."""
    return [
        {
            "figure": name.replace("_", " "),
            "model": str(figure),
            **{base: str(found[name]) for base, found in evaluation.baselines.items()},
        }
        for name, figure in evaluation.figures.items()
    ]


def _figures(evaluation: Evaluation) -> str:
    return _table(figure_rows(evaluation))


def slice_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """A row a slice, with the figures of the task."""
    return [
        {
            "slice": one.name,
            "value": one.value,
            "samples": f"{one.samples:,}" + (" (few)" if one.is_small else ""),
            **{name.replace("_", " "): str(figure) for name, figure in one.figures.items()},
        }
        for one in evaluation.slices
    ]


def _slices(evaluation: Evaluation) -> str:
    rows = slice_rows(evaluation)
    if not rows:
        return ""
    return f"<p>Of a slice of fewer than {SMALL_SLICE} samples only the interval says something.</p>{_table(rows)}"


def _calibration(evaluation: Evaluation) -> str:
    found = evaluation.calibration
    if found is None:
        return ""
    isotonic = (
        f"; an isotonic regression of the validation samples would give {found.isotonic:.3f}"
        if found.isotonic is not None
        else ""
    )
    return (
        f"<p>Expected calibration error {found.before:.3f} before and {found.after:.3f} after a temperature of "
        f"{found.temperature:.3f}, which is fitted on the validation samples and part of the model{isotonic}.</p>"
        + _figure(reliability_diagram(found.reliability))
    )


def _figure(picture: bytes | None) -> str:
    from arot_assets.drawing import data_uri

    return f'<img alt="" src="{data_uri(picture)}">' if picture else ""


def _provenance(about: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(key.replace('_', ' '))}</td><td>{html.escape(_plain(value))}</td></tr>"
        for key, value in about.items()
        if key not in ("classifier", "not_promoted", "compared", "description")
    )
    return f"<table>{rows}</table>"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {_plain(v)}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _confusion(evaluation: Evaluation) -> str:
    """Rows are true classes; the larger its fraction of the row, the darker a cell."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in evaluation.classes)
    lines = [f"<tr><th>true \\ predicted</th>{head}</tr>"]
    for k, (name, row) in enumerate(zip(evaluation.classes, evaluation.confusion or (), strict=True)):
        total = max(1, sum(row))
        cells = ""
        for j, count in enumerate(row):
            colour = "72, 104, 176" if j == k else "190, 70, 50"
            cells += f'<td style="background: rgba({colour}, {0.75 * count / total:.2f})">{count}</td>'
        lines.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(str(key))}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(v))}</td>" for v in row.values()) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
