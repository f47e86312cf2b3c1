"""What is shown after a training: the page of a head, and the contact sheet of its worst mistakes.

Belongs here: selection and layout. Does not belong here: figures (``evaluation.py``), drawing (``drawing.py``).
"""

import html
from collections.abc import Mapping

from arot_assets.classifiers.evaluation import Evaluation
from arot_assets.classifiers.head import Head
from arot_assets.datasets.places import Place
from arot_assets.media.medium import DecodeError
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
    """A JPEG of the test samples that the head is most confidently wrong about; None if there are none.

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
        texts.append(f"is {mistake.label}\nsaid {mistake.predicted} {mistake.confidence:.2f}\n{mistake.sample_id[:16]}")
    return contact_sheet(posters, texts, columns=COLUMNS, tile=TILE) if posters else None


def html_report(head: Head, evaluation: Evaluation, sheet: bytes | None, missed: str) -> bytes:
    """One self-contained page: verdict, figures, confusion matrix, worst mistakes, provenance."""
    from arot_assets.drawing import data_uri

    name = html.escape(str(head.info["classifier"]))
    verdict = (
        f'<p class="missed">Not promoted: {html.escape(missed)}.</p>' if missed else '<p class="passed">Promoted.</p>'
    )
    pictures = f'<img alt="worst mistakes" src="{data_uri(sheet)}">' if sheet else "<p>None on the test samples.</p>"
    facts = {
        "head": head.digest(),
        "embedding": f"{head.embedding}, version {head.embedding_version}",
        **{key: value for key, value in head.info.items() if key not in ("test", "classifier", "not_promoted")},
    }
    provenance = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(str(v))}</td></tr>" for k, v in facts.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head><body>
<h1>{name}</h1>
{verdict}
<p>On {int(evaluation.confusion.sum())} test samples, none of which is a near duplicate of a training sample:
accuracy <b>{evaluation.accuracy}</b>, macro F1 <b>{evaluation.macro_f1}</b> (95 % bootstrap intervals over groups of
near duplicates).</p>
<h2>Confusion matrix</h2>
{_confusion(evaluation)}
<h2>Classes</h2>
{_classes(evaluation)}
<h2>Worst mistakes</h2>
<p>The true class, the prediction with its confidence, and the sample's id.</p>
{pictures}
<h2>Provenance</h2>
<table>{provenance}</table>
</body></html>""".encode()


def _confusion(evaluation: Evaluation) -> str:
    """Rows are true classes; the larger its fraction of the row, the darker a cell."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in evaluation.classes)
    lines = [f"<tr><th>true \\ predicted</th>{head}</tr>"]
    for k, name in enumerate(evaluation.classes):
        row = evaluation.confusion[k]
        total = max(1, int(row.sum()))
        cells = ""
        for j, count in enumerate(row.tolist()):
            colour = "72, 104, 176" if j == k else "190, 70, 50"
            cells += f'<td style="background: rgba({colour}, {0.75 * count / total:.2f})">{count}</td>'
        lines.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _classes(evaluation: Evaluation) -> str:
    rows = evaluation.per_class()
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(f'{v:.3f}' if isinstance(v, float) else str(v))}</td>" for v in row.values())
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
