"""`arot search`: the images that are most like another image, or like a text."""

import click


@click.command(name="search", short_help="find the images that are most like an image or a text")
@click.argument("dataset")
@click.argument("text", required=False)
@click.option("--like", metavar="IMAGE", help="a path or URI of an image, of the dataset or not")
@click.option("--by", metavar="TABLE", help="the table of embeddings; default: the first that can answer")
@click.option("--top", default=24, show_default=True, type=click.IntRange(1, 1000), help="images to show")
@click.option("--out", metavar="FILE.html", help="write a page with thumbnails to this file or URI")
@click.option(
    "--open", "browse", is_flag=True, help="show the page in the browser; without --out it is a temporary file"
)
def command(
    dataset: str, text: str | None, like: str | None, by: str | None, top: int, out: str | None, browse: bool
) -> None:
    """Find the images of DATASET that are most like TEXT, or like another image.

    This compares stored embeddings, all of them, and decodes nothing but IMAGE. TEXT needs embeddings of a model that has a
    text tower, such as clip_l14 or siglip2_so400m.

    \b
    Examples:
      arot search demo --like ~/pictures/cat.jpg --out cats.html
      arot search films "a red car in the rain" --by clip_l14
      arot search demo --like s3://bucket/cat.jpg --by clip_b16 --open
    """
    import os
    import tempfile

    from rich.console import Console
    from rich.table import Table

    from arot_assets.datasets.places import all_roots, place_of
    from arot_assets.declarations import load_declarations
    from arot_assets.local_paths import LocalPaths
    from arot_assets.report.similar import (
        chosen_table,
        query_of_image,
        query_of_text,
        search,
        similar_page,
        table_for_text,
    )
    from arot_assets.report.thumbnails import thumbnails
    from resources.defaults import default_resources
    from resources.storage.objects import absolute

    resources = default_resources()
    if (text is None) == (like is None):
        raise click.UsageError("say what to look for: a TEXT, or --like IMAGE")
    if dataset not in resources.tables.datasets():
        load_declarations().dataset(dataset)  # of a name that is not declared, that is the error
    if text is not None:
        table = table_for_text(resources, dataset, by)
        query = query_of_text(resources, dataset, table, text)
    else:
        assert like is not None
        table = chosen_table(resources, dataset, by)
        query = query_of_image(resources, dataset, table, like if "://" in like else absolute(like))
    found, answer = search(resources, dataset, table, query, top)
    shown = Table("similarity", "sample", "uri")
    for one in found:
        shown.add_row(f"{one.similarity:.3f}", one.sample_id[:12], one.uri)
    Console().print(shown)
    skipped = f"; {answer.skipped:,} of another version are left out: `arot run {dataset}`" if answer.skipped else ""
    click.echo(f"{answer.compared:,} vectors of {dataset}.{table} compared{skipped}")
    if out is None and not browse:
        return
    # no working folder: a browser shows it after this process has ended
    target = out or os.path.join(tempfile.mkdtemp(prefix="arot-search-"), "similar.html")
    target = target if "://" in target else absolute(target)
    place = place_of(resources.storage, resources.warehouse, dataset, [one.sample_id for one in found])
    title = f"{dataset}: like {os.path.basename(like) if like else text}"
    paths = LocalPaths(all_roots(resources.tables, dataset))
    page = similar_page(title, found, thumbnails(place), paths)
    resources.storage.write(target, page.encode())
    click.echo(f"page: {out or target} ({len(page) / 1e6:.1f} MB)")
    if browse:
        click.launch(target)
