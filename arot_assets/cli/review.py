"""`arot review`: rate samples in the browser, and take the ratings in."""

import signal
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.cli.work import Work
    from arot_assets.ratings.declaration import RatingsDeclaration
    from arot_assets.ratings.review import Review

LENSLET = "lenslet>=0.4,<0.5"
MIXED = "all"
QUEUES = (MIXED, "uncertain", "models-disagree", "different", "rare", "label-errors", "random", "repeat")
"""As ``ratings.queue.REASONS``, which is loaded only when it is needed."""
SHOWN = 5
"""Samples that are named among those that cannot be shown."""
LOOK_SECONDS = 5.0
"""How often what was done is taken in while the gallery is open."""


@click.command(name="review", short_help="rate samples in the browser, and take the ratings in")
@click.argument("name")
@click.option("--rater", default="", help="name of the person who rates; Label Studio knows its users without")
@click.option("--subset", default="", help="show the samples of this SQL model")
@click.option(
    "--queue",
    is_flag=False,
    flag_value=MIXED,
    type=click.Choice(QUEUES),
    metavar="[REASON]",
    help="show what is worth rating next, for all declared reasons or for one; kept as NAME.queue",
)
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
    queue: str | None,
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
    What --queue shows, in the parts that `queue` in the declaration sets, or one reason alone:
      uncertain         rated, with a large standard error, or raters who disagree
      models-disagree   two columns, such as two scores, rank them differently
      different         unlike everything that is rated, by an embedding
      rare              of the slices with the fewest ratings
      label-errors      rated, and likely wrong: samples like it have another label
      random            drawn among the unrated, as a control
      repeat            rated before, so that consistency is known

    \b
    Examples:
      arot review quality --rater ann
      arot review quality --rater ann --queue
      arot review quality --rater ann --queue label-errors --limit 20
      arot review quality --rater ann --group 2 --subset clean_photos
      arot review quality --with label-studio --url http://127.0.0.1:8080
    """
    from arot_assets.cli.session import open_work
    from arot_assets.declarations.kinds.ratings import ratings_of
    from arot_assets.ratings.declaration import SourceRule
    from arot_assets.ratings.queue import build_queue
    from arot_assets.ratings.review import choose, make_review
    from arot_assets.ratings.review_tasks import push_to_label_studio

    if tool == "label-studio" and not url:
        raise click.UsageError("--url is missing: where is Label Studio?")
    if tool == "lenslet" and not rater:
        raise click.UsageError("--rater is missing: who rates?")
    if queue and subset:
        raise click.UsageError("--queue chooses among all samples; leave out --subset")
    with open_work() as work:
        declaration = ratings_of(name, work.declared)
        resources = work.resources
        with resources.warehouse.connect() as con:
            if queue:
                reason = "" if queue == MIXED else queue.replace("-", " ")
                chosen = build_queue(con, resources.tables, declaration, limit, reason=reason)
                samples = chosen["sample_id"].to_pylist()
            else:
                samples = choose(con, declaration, limit, subset)
        if tool == "label-studio":
            server = SourceRule(name="server", type="label_studio", url=url, project=1, rater_name=rater)
            number, review = push_to_label_studio(
                resources.storage, resources.warehouse, declaration, samples, server, group
            )
            click.echo(f"{review.samples:,} samples are tasks of {server.url}/projects/{number}")
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
    for sample, reason in list(review.left_out.items())[:SHOWN]:
        click.echo(f"  not shown: {sample}: {reason}")
    if len(review.left_out) > SHOWN:
        click.echo(f"  and {len(review.left_out) - SHOWN:,} more")


def _lenslet(review: "Review", group: int, port: int) -> list[str]:
    """The command that opens a review."""
    from resources.own_environment import command_in_own_environment

    tool = command_in_own_environment("lenslet", LENSLET, told=click.echo)
    what = ["rank", str(review.opens)] if group > 1 else [str(review.opens)]
    columns = (
        [] if group > 1 else ["--source-column", "source", "--path-column", "path", "--base-dir", str(review.folder)]
    )
    return [str(tool), *what, *columns, "--port", str(port)]


def _open(work: "Work", declaration: "RatingsDeclaration", arguments: list[str]) -> None:
    """Run the gallery until it is closed; what is done in it is taken in meanwhile."""
    from arot_assets.cli.supervise import supervise
    from resources.errors import ArotError

    looked, told = time.monotonic(), ""

    def look() -> None:
        nonlocal looked, told
        if time.monotonic() - looked < LOOK_SECONDS:
            return
        try:
            _take_in(work, declaration)
        except ArotError as error:  # another source of these ratings, say; who rates here goes on
            if str(error) != told:
                click.echo(f"not taken in yet: {error}", err=True)
            told = str(error)
        looked = time.monotonic()

    status = supervise(arguments, click.echo, look)
    _take_in(work, declaration)
    if status not in (0, -signal.SIGINT, 128 + signal.SIGINT, 128 + signal.SIGKILL):
        raise click.ClickException(f"lenslet ended with status {status}; its lines above say why")


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
