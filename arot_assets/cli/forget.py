"""`arot forget`: take samples out of every table and export, for ever."""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.declarations.declared import Declarations
    from arot_assets.exports.takedown import PublishedVersion
    from arot_assets.takedown import TakedownResult, TrainedModel

SHOWN = 100
"""How many samples are listed one by one."""


@click.command(name="forget", short_help="take samples out of every table and export, and list who must be told")
@click.argument("samples", metavar="SAMPLE|URI|QUERY …", nargs=-1, required=True)
@click.option(
    "--reason", "--because", "reason", required=True, help="why, for the record: a takedown request, a licence …"
)
@click.option("-y", "--yes", is_flag=True, help="do not ask")
def command(samples: tuple[str, ...], reason: str, yes: bool) -> None:
    """Take samples out of everything, for ever: sample_ids or their first digits, addresses, or queries that give `sample_id`.

    They leave samples, metrics, captions, ratings, scores, duplicates, SQL models, unfinished work and this machine's cache;
    versions of exports that contain one are removed from the store, from folders and from S3. A tombstone of the content's hash
    keeps it out, whatever it is called when a source offers it again: its row in `samples` then has the status `forgotten`.

    What only its owner can remove is listed: repositories on the Hub, and models that were trained with it. Files at the source
    are not touched. Pictures in the records of earlier runs go too, where they may show one: runs make new ones. Run the same
    command on other machines that have read the samples, for their caches; it goes on with a takedown that was interrupted.

    \b
    Examples:
      arot forget 3f2a91bc04d1e6f7 --reason "request of the author, 2026-11-26"
      arot forget s3://bucket/photos/a.jpg --reason "licence withdrawn"
      arot forget "select sample_id from demo.wide where caption ilike '%jane doe%'" --reason "person asked"
    """
    from arot_assets.cli.bars import reporter
    from arot_assets.cli.history import clean_history, count_databases, pictures_of
    from arot_assets.cli.session import open_work
    from arot_assets.progress import reporting, track
    from arot_assets.takedown import (
        NamesMeant,
        TakedownResult,
        find_meant,
        forget,
        heads_trained_on,
        interrupted,
        published,
        retrained_by,
    )
    from resources.tables.refs import DATASETS

    if not reason.strip():
        raise click.BadParameter("say why, for the record", param_hint="--reason")

    with open_work() as work:
        tables = work.resources.tables
        meant = find_meant(work.resources, samples)
        if (left := interrupted(tables)).places:
            click.echo(f"a takedown of {len(left.places):,} samples was interrupted, and is finished with this one")
            meant |= left
        if not meant.places:
            click.echo("no sample is meant: the queries give none")
            return
        places, heads = published(tables, meant.places), heads_trained_on(tables, meant.places)
        _tell_what_is_meant(meant.places, places, heads)
        if not yes:
            click.confirm(
                f"take {len(meant.places):,} samples out of all tables and {len(places)} versions?", abort=True
            )

        events = 0

        def clean(names: NamesMeant, done: TakedownResult) -> None:
            nonlocal events
            of = {path.split("/")[1] for path in done.rows if path.startswith(f"{DATASETS}/")}
            # which datasets an earlier takedown has emptied before it was stopped is not known
            others = set(tables.datasets()) - of if of and not left.places else ()
            instance = work.runs.instance
            with track("records of earlier runs", count_databases(instance)) as advance:
                events = clean_history(instance, names, pictures_of(of, others), advance)

        with reporting(reporter()):
            done = forget(work.resources, meant, reason, also=clean)
        again = retrained_by(heads, tables)
    removed = f"{sum(done.rows.values()):,} rows of {len(done.rows):,} files"
    click.echo(
        f"{len(meant.places):,} samples are forgotten: {removed}, {done.cached} cached files, "
        f"{len(places) - len(done.left)} versions removed, {events:,} records of earlier runs without them"
    )
    _tell_what_is_left(done, places, again, work.declared)


def _tell_what_is_meant(
    samples: Mapping[str, Collection[str]], places: "Sequence[PublishedVersion]", heads: "Sequence[TrainedModel]"
) -> None:
    """List the samples, the versions of exports that contain some, and the models that have seen some."""
    for sample, uris in islice(samples.items(), SHOWN):
        click.echo(f"  {sample}  {', '.join(uris) or 'only in exports, or forgotten before'}")
    if len(samples) > SHOWN:
        click.echo(f"  … and {len(samples) - SHOWN:,} more")
    for place in places:
        click.echo(
            f"  {place.export} version {place.receipt.version}: {place.samples} of them in {place.receipt.place}"
        )
    for head in heads:
        scoring = ", the model that scores" if head.scores else ""
        click.echo(f"  model {head.classifier}/{head.digest}{scoring}: has seen some as {', '.join(head.splits)}")


def _tell_what_is_left(
    done: "TakedownResult", places: "Sequence[PublishedVersion]", again: Sequence[str], declared: "Declarations"
) -> None:
    """List what could not be looked into, what only its owner can remove, and what to make again."""
    from arot_assets.classifiers.declaration import ClassifierDeclaration
    from arot_assets.exports.declaration import HubDatasetDeclaration

    for line in done.damaged:
        click.secho(f"  not looked into: {line}", fg="yellow")
    for place in done.left:
        click.secho(
            f"  to be removed by hand: {place.receipt.place} (commit {place.receipt.commit or 'unknown'})", fg="yellow"
        )
    for name, declaration in declared.of(HubDatasetDeclaration).items():
        click.secho(
            f"  '{name}' may have been published to {declaration.repo}: publish it again, or tell its readers",
            fg="yellow",
        )
    for name in sorted({place.export for place in places}):
        click.echo(f"  next: arot export {name}")
    for name in again:
        if (classifier := declared.of(ClassifierDeclaration).get(name)) is not None:
            click.echo(f"  next: arot run {classifier.dataset}, which trains '{name}' again without them")
