"""How well linear heads rank and tell apart from few vectors, standardised or as they are: grouped folds of small real sets.

    arot demo
    python bench/few_vectors.py                     # the store's embeddings of `demo` and `degraded`

Four folds by group (a photo with all of its versions; a picture of its own), a quarter of the rest for validation. Numbers:
Spearman, and the mean absolute error as a share of that of the mean. Classes: macro F1.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.figures import confusion, macro_f1, spearman
from arot_assets.classifiers.recipes import get_recipe
from arot_assets.classifiers.tasks import Kind, Task
from arot_assets.classifiers.trainers import Job, Targets, heads
from resources.defaults import default_resources

FOLDS = 4
WAYS = {
    "standardised, rates 0.003 to 0.03": {"standardise": True, "learning_rates": [0.003, 0.01, 0.03]},
    "standardised, rates 0.0003 to 0.003": {"standardise": True, "learning_rates": [0.0003, 0.001, 0.003]},
    "as they are, rates 0.001 to 0.01": {"standardise": False, "learning_rates": [0.001, 0.003, 0.01]},
}
PHOTO = "split_part(parse_filename(s.uri), '__', 1)"
DEGRADED, DEMO = (
    f"from {name}.samples s join {name}.embedding e using (sample_id) join {name}.cv2 c using (sample_id)"
    for name in ("degraded", "demo")
)
SETS = {
    "quality as three raters see it": (f"q.value, {PHOTO} {DEGRADED} join technical.scale q using (sample_id)", False),
    "sharpness of versions": (f"ln(1 + c.sharpness), {PHOTO} {DEGRADED}", False),
    "sharpness": (f"ln(1 + c.sharpness), sample_id {DEMO}", False),
    "brightness": (f"c.brightness, sample_id {DEMO}", False),
    "drawn or not, as a number": (f"(s.uri not like '%/photo/%')::int, sample_id {DEMO}", False),
    "anime, illustration, photo": (
        "list_position(['anime', 'illustration', 'photo'], split_part(split_part(s.uri, '/images/', 2), '/', 1)) - 1, "
        f"sample_id {DEMO} where s.uri similar to '.*/images/(anime|illustration|photo)/.*'",
        True,
    ),
    "kind of degradation": (
        f"dense_rank() over (order by split_part(split_part(parse_filename(s.uri), '__', 2), '_', 1)) - 1, {PHOTO} {DEGRADED}",
        True,
    ),
}


@dataclass(frozen=True)
class Nowhere:
    """No checkpoints."""

    def load(self) -> bytes | None:
        return None

    def save(self, state: bytes) -> None:
        return None


def folds(groups: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Train, validation and test rows."""
    every, own = np.random.default_rng(0).permutation(sorted(set(groups))), np.array(groups)
    parts = np.array_split(every, FOLDS)
    for k, held in enumerate(parts):
        rest = np.concatenate([part for n, part in enumerate(parts) if n != k])
        few = max(1, len(rest) // 4)
        test, val, train = (np.flatnonzero(np.isin(own, names)) for names in (held, rest[:few], rest[few:]))
        yield train, val, test


def measured(
    vectors: NDArray[np.float16], values: NDArray[np.float32], groups: Sequence[str], way: str, loss: str
) -> str:
    """The figures of one way, over the folds."""
    kind: Kind = "classification" if loss == "cross_entropy" else "regression"
    classes = tuple(str(k) for k in range(int(values.max()) + 1)) if kind == "classification" else ()
    truth = values.astype(np.int64) if classes else values
    figures, errors = [], []
    settings = get_recipe("linear-probe").with_settings({**WAYS[way], "loss": loss})
    for train, val, test in folds(groups):
        targets = Targets(truth, np.ones(len(truth), np.float32))
        task = Task(kind, classes, loss)  # type: ignore[arg-type]
        found = heads.train(Job(way, task, settings, targets, train, val, Nowhere(), {"e.vector": vectors})).logits(
            test
        )
        if classes:
            counts = confusion(truth[test], found.argmax(axis=1), len(classes)).astype(np.float64)
            figures.append(float(macro_f1(counts)))
        else:
            figures.append(spearman(truth[test], found[:, 0]))
            errors.append(np.abs(found[:, 0] - truth[test]).mean() / np.abs(truth[test] - truth[train].mean()).mean())
    return f"{np.mean(figures):.3f}" + (f" ({np.mean(errors):.2f})" if errors else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(SETS)}; default: all")
    wanted = parser.parse_args().sets or list(SETS)
    print(f"| set | vectors, groups | loss | {' | '.join(WAYS)} | CPU s |\n|---|---|---|{'---|' * len(WAYS)}---|")
    for name in wanted:
        query, classes = SETS[name]
        ok = "where" not in query
        sql = f"select e.vector, {query} {'where' if ok else 'and'} s.status = 'ok' and e.status = 'ok' order by sample_id"
        with default_resources().warehouse.connect() as con:
            rows = con.execute(sql).fetchall()
        vectors, values = np.array([r[0] for r in rows], np.float16), np.array([r[1] for r in rows], np.float32)
        groups = [str(r[2]) for r in rows]
        for loss in ["cross_entropy"] if classes else ["mse", "pairwise"]:
            began = time.process_time()
            cells = [measured(vectors, values, groups, way, loss) for way in WAYS]
            size = f"{len(vectors)}, {len(set(groups))}"
            print(f"| {name} | {size} | {loss} | {' | '.join(cells)} | {time.process_time() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
