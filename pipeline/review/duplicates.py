"""Near-duplicates among images: candidates by their features, confirmed on their pixels.

1. Candidates are each image's five nearest by the cosine of its vector, centred and brought to its
   256 principal components. No cosine serves as a threshold: copies after JPEG of quality 75 had
   0.79 in the median on photographs and 0.93 on Fashion-MNIST, where any image's nearest has 0.86.
   But of copies shifted by a pixel, compressed, darker or brighter, 0.96 to 1.00 were among the
   three nearest (n = 50 of each kind on Fashion-MNIST, CIFAR-10 and photographs of waste).
2. Pixels decide. Both images, gray and of 32 pixels at most, less the mean of the 5x5 pixels around
   each, are correlated at the best of all shifts of up to two pixels, mirrored too. Pairs are
   near-duplicates from 0.8 on (of seven kinds of simulated copies, n = 50 a kind and data set, the
   least had 0.82) if they also stand out for both images: of an image's five nearest, in the order
   of how alike they are, those count up to where the next one lacks four times as much to 1. So
   where images are all alike, such as trousers on black, copies must be closer, and of one image
   up to four are found. From 0.99 on they need not stand out.

The stage `split` looks for copies by pixels alone (`data.near_copies`) before it divides. This
finds what that does not: shifted, mirrored and more strongly changed ones.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.evaluation.linear_algebra import one_blas_thread
from pipeline.review.vectors import spread

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

NUM_COMPONENTS: Final = 256
NUM_NEAREST: Final = 5
LEAST_SIMILARITY: Final = 0.8
SURE_SIMILARITY: Final = 0.99
STAND_OUT_SHARE: Final = 0.25
MOST_SHIFT: Final = 2
"""Pixels of the gray images, of 32 a side at most."""
_GRAY_SIZE: Final = 32
_WINDOW: Final = 5
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_SAMPLE: Final = 4000
_BLOCK: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Pairs of near-duplicates.

    Attributes:
        pairs: Places of the images, shape (p, 2), ascending, the lower one first.
        similarity: Of each pair, the correlation described above, in [0.8, 1].
        is_mirrored: Whether one is the other's mirror image.
    """

    pairs: Indices
    similarity: Floats
    is_mirrored: NDArray[np.bool_]

    def groups(self, num_images: int) -> Indices:
        """Returns a number for each image, equal for those that pairs connect, shape (n,)."""
        from scipy.sparse import coo_array  # type: ignore[import-untyped]
        from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

        connected = (np.ones(len(self.pairs), bool), (self.pairs[:, 0], self.pairs[:, 1]))
        graph = coo_array(connected, shape=(num_images, num_images))
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def find_duplicates(vectors: NDArray[np.floating[Any]], grays: Floats) -> Duplicates:
    """Returns the pairs of images that nearly repeat one another.

    The time grows with the square of the number of images.

    Args:
        vectors: Of all images, shape (n, d).
        grays: From `gray_details`, shape (n, s, s).
    """
    nearest = _nearest(_components(vectors))
    rows = np.repeat(np.arange(len(nearest)), nearest.shape[1])
    both = np.sort(np.stack([rows, nearest.ravel()], axis=1), axis=1)
    pairs, place = np.unique(both, axis=0, return_inverse=True)
    similarity, is_mirrored = _similarities(grays, pairs)
    least = _least_of_copies(similarity[place.reshape(nearest.shape)])
    stands_out = similarity >= least[pairs].max(axis=1, initial=0)
    is_close = stands_out | (similarity >= SURE_SIMILARITY)
    is_found = is_close & (similarity >= LEAST_SIMILARITY)
    return Duplicates(
        pairs=pairs[is_found],
        similarity=similarity[is_found],
        is_mirrored=is_mirrored[is_found],
    )


def gray_details(batches: Iterable[NDArray[np.uint8]]) -> Floats:
    """Returns images in gray, of 32 pixels a side at most, less the mean around each pixel.

    Args:
        batches: All images, some at a time, uint8, shape (b, h, w) or (b, h, w, 3).

    Returns:
        Shape (n, s, s), float32; 4 KB an image.
    """
    return np.concatenate([_details(_grays(images)) for images in batches])


def _least_of_copies(similarities: Floats) -> Floats:
    """Returns how alike an image's copies are at least; infinite where none stands out.

    Args:
        similarities: Of each image with its nearest, shape (n, k).

    Returns:
        Shape (n,).
    """
    if not similarities.shape[1]:
        return np.full(len(similarities), np.inf, np.float32)
    ordered = -np.sort(-similarities, axis=1)
    lacks = 1 - np.append(ordered, np.zeros((len(ordered), 1)), axis=1)
    is_gap = (lacks[:, :-1] <= STAND_OUT_SHARE * lacks[:, 1:]) & (ordered >= LEAST_SIMILARITY)
    # Behind the last of its nearest there is nothing known, and no gap.
    if ordered.shape[1] == NUM_NEAREST:
        is_gap[:, -1] = False
    last = ordered.shape[1] - 1 - is_gap[:, ::-1].argmax(axis=1)
    least = ordered[np.arange(len(ordered)), last]
    return np.asarray(np.where(is_gap.any(axis=1), least, np.inf), np.float32)


def _grays(images: NDArray[np.uint8]) -> Floats:
    if max(images.shape[1:3]) <= _GRAY_SIZE:
        floats = images.astype(np.float32)
        return floats if images.ndim == 3 else floats @ _LUMA
    size = (_GRAY_SIZE, _GRAY_SIZE)
    small = [
        np.asarray(Image.fromarray(one).convert("L").resize(size, Image.Resampling.BILINEAR))
        for one in images
    ]
    return np.stack(small).astype(np.float32)


def _details(grays: Floats) -> Floats:
    """Subtracts from each pixel the mean of the window around it."""
    half = _WINDOW // 2
    sides = ((0, 0), (half, half), (half, half))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(grays, sides, mode="edge"), (_WINDOW, _WINDOW), axis=(1, 2)
    )
    return np.asarray(grays - windows.mean(axis=(3, 4)), np.float32)


def _components(vectors: NDArray[np.floating[Any]]) -> Floats:
    """Returns the principal components of vectors, each row of norm 1, shape (n, at most 256)."""
    from scipy.linalg import eigh  # type: ignore[import-untyped]

    some = vectors[spread(len(vectors), _SAMPLE)].astype(np.float32)
    centre = some.mean(axis=0)
    some -= centre
    first = max(some.shape[1] - NUM_COMPONENTS, 0)
    # A tenth of the time that all eigenvectors take.
    with one_blas_thread():
        _, kept = eigh(some.T @ some, subset_by_index=[first, some.shape[1] - 1])
    blocks = [
        (vectors[start : start + _BLOCK].astype(np.float32) - centre) @ kept
        for start in range(0, len(vectors), _BLOCK)
    ]
    found = np.concatenate(blocks)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(lengths, 1e-6), np.float32)


def _nearest(directions: Floats) -> Indices:
    """Returns each image's nearest others, the nearest first, shape (n, at most 5)."""
    number = min(NUM_NEAREST, len(directions) - 1)
    found = np.empty((len(directions), number), np.int64)
    # 64 MB at a time.
    block = max(1, min(_BLOCK, 2**24 // len(directions)))
    for start in range(0, len(directions), block):
        cosines = directions[start : start + block] @ directions.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        for place in range(number):
            best = cosines.argmax(axis=1)
            found[start + rows, place] = best
            cosines[rows, best] = -np.inf
    return found


def _similarities(grays: Floats, pairs: Indices) -> tuple[Floats, NDArray[np.bool_]]:
    similarity, is_mirrored = np.zeros(len(pairs), np.float32), np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _BLOCK):
        part = slice(start, start + _BLOCK)
        one, other = grays[pairs[part, 0]], grays[pairs[part, 1]]
        similarity[part] = _aligned(one, other)
        mirrored = _aligned(one, other[:, :, ::-1])
        is_mirrored[part] = mirrored > similarity[part]
        similarity[part] = np.maximum(similarity[part], mirrored)
    return similarity, is_mirrored


def _aligned(one: Floats, other: Floats) -> Floats:
    """Returns the correlation of images at the best shift, shape (b,).

    Which shift that is, the product of their Fourier transforms says, in which what is shifted out
    comes in at the other side; what both images show is then correlated.
    """
    size = one.shape[1:]
    products = np.fft.rfft2(one) * np.conj(np.fft.rfft2(other))
    steps = np.arange(-MOST_SHIFT, MOST_SHIFT + 1)
    around = np.fft.irfft2(products, s=size)[:, steps[:, None], steps[None, :]]
    best = around.reshape(len(one), -1).argmax(axis=1)
    found = np.empty(len(one), np.float32)
    for shift, rows in _by_value(best):
        down, right = steps[shift // len(steps)], steps[shift % len(steps)]
        found[rows] = _correlation(
            one[rows][:, _part(down, size[0]), _part(right, size[1])],
            other[rows][:, _part(-down, size[0]), _part(-right, size[1])],
        )
    return found


def _by_value(values: Indices) -> Iterator[tuple[int, Indices]]:
    return ((int(value), np.flatnonzero(values == value)) for value in np.unique(values))


def _part(shift: int, length: int) -> slice:
    return slice(max(shift, 0), length + min(shift, 0))


def _correlation(one: Floats, other: Floats) -> Floats:
    one = one - one.mean(axis=(1, 2), keepdims=True)
    other = other - other.mean(axis=(1, 2), keepdims=True)
    squares = [np.einsum("nij,nij->n", side, side) for side in (one, other)]
    # Images without any contrast resemble nothing.
    products = np.einsum("nij,nij->n", one, other)
    return np.asarray(products / np.sqrt(np.maximum(squares[0] * squares[1], 1e-6)), np.float32)
