"""`arot report`: what is wrong with the files of a dataset, on one page."""

import click


@click.command(name="report", short_help="show what is wrong with a dataset: counts, thumbnails, SQL")
@click.argument("dataset")
@click.option("--out", metavar="FILE.html", help="write the page with thumbnails to this file or URI")
@click.option("--sql", is_flag=True, help="print the query behind each count")
@click.option("--examples", default=24, show_default=True, type=click.IntRange(0, 500), help="thumbnails per kind")
def command(dataset: str, out: str | None, sql: bool, examples: int) -> None:
    """Show what is wrong with the files of DATASET: broken, duplicate, tiny, dark, bright, blurry, blocky, without caption …

    This queries the existing tables and computes nothing. Each count is a query: take it (--sql), change the threshold, and
    make it a condition of a subset.

    \b
    Examples:
      arot report demo
      arot report demo --out report.html
      arot report demo --sql
    """
    from arot_assets.datasets.places import all_roots, medium_of, place_of
    from arot_assets.declarations import load_declarations
    from arot_assets.local_paths import LocalPaths
    from arot_assets.report.answers import ask, has_samples
    from arot_assets.report.page import page
    from arot_assets.report.questions import questions_of
    from arot_assets.report.text import lines
    from arot_assets.report.thumbnails import thumbnails
    from arot_assets.report.timelines import section, timelines
    from resources.defaults import default_resources
    from resources.storage.objects import absolute

    resources = default_resources()
    if not has_samples(resources.tables, dataset):
        load_declarations().dataset(dataset)  # of a name that is not declared, that is the error
        raise click.ClickException(f"'{dataset}' has no samples yet; `arot run {dataset}` creates them")
    with resources.warehouse.connect() as con:
        questions = questions_of(medium_of(resources.tables, dataset))
        answers = ask(con, resources.tables, dataset, questions, examples=examples if out else 1)
        drawn = list(timelines(con, resources.tables, dataset)) if out else []
    for line in lines(answers, sql):
        click.echo(line)
    if out:
        target = out if "://" in out else absolute(out)
        shown = [e.sample_id for answer in answers.asked for e in answer.examples if e.sample_id is not None]
        paths = LocalPaths(all_roots(resources.tables, dataset))
        pictures = thumbnails(place_of(resources.storage, resources.warehouse, dataset, shown))
        text = page(answers, pictures, paths, section(drawn, paths))
        resources.storage.write(target, text.encode())
        click.echo(f"page: {out} ({len(text) / 1e6:.1f} MB)")
    else:
        click.echo(f"with thumbnails: arot report {dataset} --out report.html")
