"""Clusters of vectors: k-means, found once and kept, so that the number of a cluster means the same for years.

Belongs here: finding centres, and the nearest centre of each vector. Does not belong here: where they are stored.
"""

import numpy as np
from numpy.typing import NDArray

from arot_assets.neighbours.search import Distance, prepared

MOST_FITTED = 100_000
"""Vectors that centres are found from; more of them change little."""
SEED = 0
BLOCK = 8192


def find_centres(vectors: NDArray[np.float32], count: int, distance: Distance) -> NDArray[np.float32]:
    """The centres of k-means, that of the largest cluster first.

    Args:
        vectors: ``float32 [N, D]``, of ``search.prepared``, in an order that is always the same.
        count: clusters; fewer vectors have a cluster each.
        distance: with ``cosine`` the centres have length 1.

    Returns:
        ``float32 [C, D]``.
    """
    from sklearn.cluster import KMeans

    used = vectors
    if len(vectors) > MOST_FITTED:
        used = vectors[np.sort(np.random.default_rng(SEED).choice(len(vectors), MOST_FITTED, replace=False))]
    count = min(count, len(np.unique(used, axis=0)))
    fitted = KMeans(count, n_init=1, random_state=SEED).fit(used)
    sizes = np.bincount(fitted.labels_, minlength=count)
    centres = fitted.cluster_centers_[np.argsort(-sizes, kind="stable")].astype(np.float32)
    return prepared(centres, distance)


def nearest_centre(
    vectors: NDArray[np.float32], centres: NDArray[np.float32], distance: Distance
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The place of the nearest centre to each vector, ``int32 [N]``, and its distance, ``float32 [N]``."""
    place = np.empty(len(vectors), np.int32)
    apart = np.empty(len(vectors), np.float32)
    squares = np.square(centres).sum(1)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        products = block @ centres.T
        if distance == "cosine":
            distances = np.maximum(1 - products, 0)
        else:
            distances = np.sqrt(np.maximum(np.square(block).sum(1, keepdims=True) + squares - 2 * products, 0))
        best = distances.argmin(1)
        place[start : start + BLOCK] = best
        apart[start : start + BLOCK] = distances[np.arange(len(block)), best]
    return place, apart
