"""The images of a training, decoded as the metrics see them.

Belongs here: from a row to pixels, through the dataset's own place and medium. Does not belong here: preprocessing and
augmentation (``trainers/``), decoding (``media``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.datasets.places import Place, place_of
from arot_assets.media.file import DecodeError, File, Limits
from arot_assets.media.media import MEDIA
from arot_assets.media.wants import STILL, Pixels
from resources.storage import Storage
from resources.warehouse import Warehouse
from resources.warehouse.views import quote


@dataclass(frozen=True)
class TrainingImages:
    """Images by row; may be called from several threads.

    Attributes:
        place: of the dataset.
        ids: of the rows.
        uris: sample -> where it is.
        facts: sample -> the columns of its medium, by which memory is reserved.
    """

    place: Place
    ids: Sequence[str]
    uris: Mapping[str, str]
    facts: Mapping[str, Mapping[str, object]]

    @classmethod
    def of(cls, storage: Storage, warehouse: Warehouse, dataset: str, ids: Sequence[str]) -> "TrainingImages":
        """Those of some samples of a dataset."""
        place = place_of(storage, warehouse, dataset, ids)
        columns = [column.name for column in MEDIA[place.medium.name].columns]
        with warehouse.connect() as con:
            con.register("pictured", pa.table({"sample_id": pa.array(ids, pa.string())}))
            shown = ", ".join(quote(c) for c in columns)
            rows = con.execute(
                f"select sample_id, uri, {shown} from {quote(dataset)}.samples join pictured using (sample_id) "
                "where status = 'ok'"
            ).fetchall()
        return cls(
            place,
            ids,
            {row[0]: row[1] for row in rows},
            {row[0]: dict(zip(columns, row[2:], strict=True)) for row in rows},
        )

    def there(self) -> NDArray[np.bool_]:
        """``bool [N]``: which rows are samples of the dataset now."""
        return np.array([sample in self.uris for sample in self.ids], np.bool_)

    def __call__(self, row: int) -> Pixels:
        """``uint8 [H, W, 3]``, as a metric of still images sees it.

        Raises:
            StorageError: the file cannot be read, or is not the sample any more.
            DecodeError: it cannot be decoded.
        """
        sample = self.ids[row]
        uri = self.uris[sample]
        found = self.place.files({uri: sample})(uri)
        file = File(uri, found.fetch, self.facts[sample])
        with self.place.medium.open(file, frozenset([STILL]), Limits()) as view:
            for still in view.stills():
                return still.image.rgb
        raise DecodeError("corrupt", f"'{uri}' has no image")
