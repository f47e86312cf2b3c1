"""A review in Label Studio: a project there, whose tasks show samples.

Belongs here: the project, its question, and the source by which the answers come back. Does not belong here: requests
(``resources.label_studio``), reading answers (``sources/label_studio.py``), choosing samples (``review.py``, ``queue.py``).
"""

from collections.abc import Sequence
from contextlib import suppress
from xml.sax.saxutils import quoteattr

from arot_assets.names import ascii_word
from arot_assets.ratings.declaration import RatingsDeclaration, SourceRule
from arot_assets.ratings.review import Review, new_folder, pictures, side_by_side
from arot_assets.ratings.reviews import write_sources
from arot_assets.ratings.said import RatingsError
from resources.errors import ArotError
from resources.label_studio import LabelStudio
from resources.storage import Storage
from resources.warehouse import Warehouse

NEEDED = 'required="true"'
"""Nobody can submit without an answer, only skip. Pairs have no such thing: there, an empty answer is an invalid event."""
MOST_STARS = 10
"""That people can tell apart at a glance."""


def push_to_label_studio(
    storage: Storage,
    warehouse: Warehouse,
    declaration: RatingsDeclaration,
    samples: Sequence[str],
    server: SourceRule,
    group: int = 1,
) -> tuple[int, Review]:
    """Make a project of these samples in Label Studio, and a source that takes its answers back.

    The pictures are uploaded, so that the server needs no access to the dataset.

    Args:
        storage: reaches the files.
        warehouse: over the store.
        declaration: the ratings; with ``categories``, people choose one of them, otherwise they give stars or a number.
        samples: to be rated.
        server: its address, the variable of its key, and the rater's name if one person rates; otherwise raters are known by the
            e-mail addresses of their accounts.
        group: 1 for single pictures, 2 for pairs.

    Raises:
        LabelStudioError: the server does not answer, or refuses.
        RatingsError: no picture can be read, or there are no pairs of so many.
    """
    if group > 2:
        raise RatingsError(f"Label Studio compares pairs here, not {group} images: --group 2, or rank with lenslet")
    studio = LabelStudio(server.url, server.key_variable)
    studio.people()  # an error before the pictures are read
    folder = new_folder(declaration.name, server.rater_name or "label_studio")
    names, left_out = pictures(storage, warehouse, declaration.dataset, samples, folder / "images")
    if not names:
        raise RatingsError(
            f"{declaration.name}: none of {len(samples):,} samples can be shown: {next(iter(left_out.values()))}"
        )
    project = studio.create(f"{declaration.name}: {folder.name}")
    try:
        addresses = studio.upload(project, [folder / "images" / file for file, _ in names])
        if group == 1:
            tasks = [{"image": addresses[file], server.item: sample} for file, sample in names]
        else:
            tasks = [
                {"image": addresses[file], "other": addresses[second], server.left: sample, server.right: other}
                for (file, sample), (second, other) in side_by_side(names, 2, left_out)
            ]
        studio.show(project, label_config(declaration, group))
        studio.add(project, tasks)
    except ArotError:  # half a project would only be found by people who wonder what it is
        with suppress(ArotError):
            studio.delete(project)
        raise
    kind = "pair" if group == 2 else "category" if declaration.categories else "score"
    name = f"review_{ascii_word(folder.name).lower()}"
    write_sources(folder, [server.model_copy(update={"name": name, "project": project, "kind": kind, "by": "id"})])
    return project, Review(folder, folder / "images", group * len(tasks), left_out)


def label_config(declaration: RatingsDeclaration, group: int = 1) -> str:
    """What people see in Label Studio: a picture, and stars up to the end of the scale, a number, or the classes; or a pair."""
    low, high = declaration.scale.low, declaration.scale.high
    if group == 2:
        images = '<Image name="image" value="$image"/><Image name="other" value="$other"/>'
        pair = '<Pairwise name="rating" toName="image,other"/>'
        return f'<View>{pair}<View style="display: grid; grid-template-columns: 1fr 1fr">{images}</View></View>'
    if declaration.categories:
        choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in declaration.categories)
        question = f'<Choices name="rating" toName="image" choice="single" {NEEDED}>{choices}</Choices>'
    elif low == 1 and high.is_integer() and high <= MOST_STARS:
        question = f'<Rating name="rating" toName="image" maxRating="{int(high)}" {NEEDED}/>'
    else:  # stars begin with one, and are whole
        question = f'<Number name="rating" toName="image" min="{low:g}" max="{high:g}" step="any" {NEEDED}/>'
    return f'<View><Image name="image" value="$image"/>{question}</View>'
