"""`arot review`: rate samples in the browser, and take the ratings in."""

import subprocess
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.cli.work import Work
    from arot_assets.ratings.declaration import RatingsDeclaration
    from arot_assets.ratings.review import Review

LENSLET = "lenslet>=0.4,<0.5"
LOOK_SECONDS = 5.0
"""How often what was done is taken in while the gallery is open."""


@click.command(name="review", short_help="rate samples in the browser, and take the ratings in")
@click.argument("name")
@click.option("--rater", required=True, help="name of the person who rates")
@click.option("--subset", default="", help="show the samples of this SQL model")
@click.option("--queue", is_flag=True, help="show what is worth rating next, kept as NAME.queue")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="samples to show")
@click.option("--group", default=1, show_default=True, type=click.IntRange(1, 9), help="2 for pairs, more to rank")
@click.option("--with", "tool", type=click.Choice(["lenslet", "label-studio"]), default="lenslet", show_default=True)
@click.option("--url", default="", help="of the Label Studio server; its token is read from $LABEL_STUDIO_KEY")
@click.option(
    "--port", default=7070, show_default=True, type=click.IntRange(1, 65535), help="of the gallery, on this machine"
)
@click.option("--no-open", is_flag=True, help="write the review and show the command that opens it")
def command(
    name: str,
    rater: str,
    subset: str,
    queue: bool,
    limit: int,
    group: int,
    tool: str,
    url: str,
    port: int,
    no_open: bool,
) -> None:
    """Rate samples of the ratings NAME: those with the fewest ratings first.

    lenslet shows their images, metrics and embeddings. Stars become scores, tags become labels; with --group, images are compared
    in pairs or ranked. lenslet is installed on first use, into an environment of its own. Ratings are taken in while it is open;
    close it with Ctrl-C. With Label Studio, the samples become tasks of a new project there, and the sensor of the ratings, or
    `arot run`, takes the answers in.

    \b
    Examples:
      arot review quality --rater ann
      arot review quality --rater ann --group 2 --subset clean_photos
      arot review quality --rater ann --with label-studio --url http://127.0.0.1:8080
    """
    from arot_assets.cli.session import open_work
    from arot_assets.declarations.kinds.ratings import ratings_of
    from arot_assets.ratings.declaration import SourceRule
    from arot_assets.ratings.queue import build_queue
    from arot_assets.ratings.review import choose, make_review, push_to_label_studio

    with open_work() as work:
        declaration = ratings_of(name, work.declared)
        resources = work.resources
        with resources.warehouse.connect() as con:
            if queue:
                samples = build_queue(con, resources.tables, declaration, limit)["sample_id"].to_pylist()
            else:
                samples = choose(con, declaration, limit, subset)
        if tool == "label-studio":
            if not url:
                raise click.UsageError("--url is missing: where is Label Studio?")
            server = SourceRule(name="server", type="label_studio", url=url, project=1)
            number, review = push_to_label_studio(resources.storage, resources.warehouse, declaration, samples, server)
            click.echo(f"{review.samples:,} samples are tasks of {url}/projects/{number}")
            _tell_left_out(review)
            return
        review = make_review(resources.storage, resources.warehouse, declaration, samples, rater, group)
        click.echo(f"{review.samples:,} samples for {rater}: {review.folder}")
        _tell_left_out(review)
        arguments = _lenslet(review, group, port)
        if no_open:
            click.echo(f"open them with: {' '.join(arguments)}")
            return
        _open(work, declaration, arguments)


def _tell_left_out(review: "Review") -> None:
    for sample, reason in list(review.left_out.items())[:5]:
        click.echo(f"  not shown: {sample}: {reason}")


def _lenslet(review: "Review", group: int, port: int) -> list[str]:
    """The command that opens a review."""
    from resources.own_environment import command_in_own_environment

    tool = command_in_own_environment("lenslet", LENSLET)
    what = ["rank", str(review.opens)] if group > 1 else [str(review.opens)]
    columns = (
        [] if group > 1 else ["--source-column", "source", "--path-column", "path", "--base-dir", str(review.folder)]
    )
    return [str(tool), *what, *columns, "--port", str(port)]


def _open(work: "Work", declaration: "RatingsDeclaration", arguments: list[str]) -> None:
    """Run the gallery until it is closed; what is done in it is taken in meanwhile."""
    process = subprocess.Popen(arguments)
    try:
        while process.poll() is None:
            time.sleep(LOOK_SECONDS)
            _take_in(work, declaration)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
    _take_in(work, declaration)
    if process.returncode not in (0, -15, -2, 130):
        raise click.ClickException(f"lenslet ended with status {process.returncode}; its lines above say why")


def _take_in(work: "Work", declaration: "RatingsDeclaration") -> None:
    from arot_assets.ratings.build import build_ratings
    from arot_assets.ratings.reviews import review_sources
    from arot_assets.ratings.steps import ratings_state
    from arot_assets.steps import Look

    with Look(work.resources, sources=True) as look:
        if ratings_state(look, declaration).current:
            return
    built = build_ratings(work.resources.warehouse, declaration, review_sources(declaration.name))
    work.resources.warehouse.refresh()
    new = sum(source.new for source in built.sources)
    if new:
        click.echo(f"{declaration.name}: {new:,} new ratings taken in")
