"""Finds images that nearly repeat another one: resized, compressed again, brighter, cut by 2%.

Two images are near copies if

1. their fingerprints are close. A fingerprint is 32 numbers made of the image's gray, brought to
   16x16 pixels and freed of its brightness and contrast. They are the ones in which the data's
   images differ most, measured by what resizing, compressing, brightening and cutting change in
   them (a generalized eigenproblem): 1 is the change that such a copy shows on average. Close is 5
   at most, three tenths of what the median image is from its eighth nearest, and a quarter of what
   either image is from its 32nd nearest. So where images are all alike, such as trousers on black,
   copies must be closer; and
2. their colours, brought to 8x8 pixels, agree but for a change of brightness and contrast by at
   most a quarter, in the whole and in every one of the 64 cells.

`python -m benchmarks.near_duplicates` measures it. Of simulated copies of every kind it found 0.99
to 1.00 on CIFAR-10 (n = 500 a kind) and 0.98 to 1.00 on photographs of waste (n = 200), on
Fashion-MNIST 0.93 to 1.00, but for those that were brought to half their 28 pixels: 0.34 to 0.64.
Of 179 pairs found among CIFAR-10's own images at most 1 was no true copy, of 76 in Fashion-MNIST
about 5 (the same cut in another shade or with another print), of 14 in 1,440 photographs of waste
none; in 1,797 digits none was found.

Where most images have eight near copies or more, or an image has 32, such as frames of a film,
these are the nearest themselves: there 1.5 is close. No image of Fashion-MNIST, CIFAR-10 or the
digits is that near to its 32nd nearest (1,500 tried of each; the least was 2.7).

Mirrored copies are not looked for. Images below 8 pixels, or with hardly any contrast (a standard
deviation below 2 of 255 gray levels at 16x16), have no near copies: too much agrees by chance.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

NEAR_COPY = (
    "near-identical: the same picture, resized, compressed, 5% brighter or darker, or 2% cut off"
)
_MIN_SIZE = 8
_MIN_CONTRAST = 2.0  # Gray levels of 0..255.
_FINGERPRINT_SIZE = 16
_NUM_FEATURES = 32
_MAX_REACH = 5.0  # 99% of simulated copies of CIFAR-10 and of photographs are nearer.
_REACH_SHARE, _REACH_NEIGHBOUR = 0.3, 8
_LOCAL_SHARE, _LOCAL_NEIGHBOUR = 0.25, 32
_CROWDED = 1.5
_THUMBNAIL_SIZE = 8
# Gray levels that compression may change in the mean over 16x16 pixels.
_COMPRESSION_NOISE = 1.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CHUNK = 2**24  # Values of float32 that are worked on at once: 64 MiB.


def near_pairs(images: NDArray[np.uint8], positions: Indices) -> Indices:
    """Returns the pairs of images that nearly repeat one another.

    Not transitive: where a is a near copy of b and b of c, a need not be one of c. The time grows
    with the square of the number of images: seconds for 70,000.

    Args:
        images: uint8, shape (n, h, w) or (n, h, w, 3).
        positions: Which of them to compare, shape (m,); should be distinct images.

    Returns:
        Indices into `positions`, shape (p, 2), int64, ascending, the lower one of a pair first.
    """
    none = np.zeros((0, 2), np.int64)
    if len(positions) < 2 or min(images.shape[1:3]) < _MIN_SIZE:
        return none
    grays = _grays(images, positions)
    has_contrast = np.flatnonzero(grays.std(axis=(1, 2)) >= _MIN_CONTRAST)
    if len(has_contrast) < 2:
        return none
    candidates = positions[has_contrast]
    fingerprints = _fingerprints(images, candidates, grays[has_contrast])
    close = list(_close_pairs(fingerprints, _reach(fingerprints)))
    pairs = np.concatenate([none, *close])
    pairs = pairs[_agree_in_colour(images, candidates, pairs)]
    pairs = pairs[_stand_out(fingerprints, pairs)]
    pairs = np.sort(has_contrast[pairs], axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _fingerprints(images: NDArray[np.uint8], positions: Indices, grays: Floats) -> Floats:
    """Returns what the module's description says, shape (m, 32); the distance is Euclidean."""
    patterns, norms = _normalized(grays)
    few = _spread(len(positions), 256)
    changes = np.concatenate(
        [
            _copy_changes(images[positions[few[part]]], patterns[few[part]])
            for part in _chunks(len(few), images[0].size)
        ]
    )
    num_pixels = patterns.shape[1]
    noise = changes.T @ changes / len(changes)
    noise += np.eye(num_pixels) * (_COMPRESSION_NOISE**2 * np.mean(norms[few] ** -2.0) + 1e-9)
    some = patterns[_spread(len(positions), 5000)]
    centre = some.mean(axis=0)
    spread = (some - centre).T @ (some - centre) / len(some)
    # The generalized eigenproblem of spread and noise, as a common one.
    whitening = np.linalg.inv(np.linalg.cholesky(noise))
    _, vectors = np.linalg.eigh(whitening @ spread @ whitening.T)
    features = whitening.T @ vectors[:, : -_NUM_FEATURES - 1 : -1]
    features = (features / np.sqrt(features.shape[1])).astype(np.float32)
    return np.asarray((patterns - centre) @ features, dtype=np.float32)


def _copy_changes(images: NDArray[np.uint8], patterns: Floats) -> Floats:
    """Returns what simulated copies of images change in their patterns, one row for each."""
    grays = _to_gray(images)
    height, width = grays.shape[1:]
    size = _fingerprint_size(images)
    to_rows, to_columns = _resampling(height, size), _resampling(width, size)
    copies = [to_rows @ np.minimum(1.05 * grays, 255) @ to_columns.T]
    for scale in (0.5, 0.75, 1.25):
        rows, columns = (_there_and_back(length, scale) for length in (height, width))
        copies.append((to_rows @ rows) @ grays @ (to_columns @ columns).T)
    rows, columns = (_resampling(length, length, margin=0.01) for length in (height, width))
    copies.append((to_rows @ rows) @ grays @ (to_columns @ columns).T)
    return np.concatenate([_normalized(copy)[0] - patterns for copy in copies])


def _reach(fingerprints: Floats) -> float:
    """Returns the distance below which fingerprints may be close."""
    some = _spread(len(fingerprints), 500)
    typical = float(np.median(_neighbour_distances(fingerprints, some, _REACH_NEIGHBOUR)))
    return _CROWDED if typical < _CROWDED else min(_MAX_REACH, _REACH_SHARE * typical)


def _stand_out(fingerprints: Floats, pairs: Indices) -> NDArray[np.bool_]:
    """Whether pairs are far closer than either image is to its other neighbours; shape (p,).

    Or whether those are near copies, too.
    """
    involved, place = np.unique(pairs, return_inverse=True)
    # Of few images, half are neighbours.
    neighbour = min(_LOCAL_NEIGHBOUR, len(fingerprints) // 2)
    distances = _neighbour_distances(fingerprints, involved, neighbour)
    usual = distances[place.reshape(pairs.shape)].min(axis=1)
    between = np.empty(len(pairs), np.float32)
    for part in _chunks(len(pairs), 3 * _NUM_FEATURES):
        one, other = fingerprints[pairs[part].T]
        between[part] = np.linalg.norm(one - other, axis=1)
    limit = np.where(usual < _CROWDED, _CROWDED, _LOCAL_SHARE * usual)
    return np.asarray(between <= limit)


def _neighbour_distances(fingerprints: Floats, some: Indices, neighbour: int) -> Floats:
    """Returns how far `some` are from their nearest but `neighbour` - 1, shape (len(some),)."""
    neighbour = min(neighbour, len(fingerprints) - 1)  # 0 is the image itself.
    halves = np.einsum("nf,nf->n", fingerprints, fingerprints) / 2
    result = np.empty(len(some), np.float32)
    for part in _chunks(len(some), len(fingerprints)):
        nearness = halves - fingerprints[some[part]] @ fingerprints.T
        squares = np.partition(nearness, neighbour, axis=1)[:, neighbour] + halves[some[part]]
        result[part] = np.sqrt(np.maximum(2 * squares, 0))
    return result


def _close_pairs(fingerprints: Floats, reach: float, *, block: int = 1024) -> Iterator[Indices]:
    """Yields the pairs that are nearer than `reach`, each once; all are compared, block by block.

    In the order of the first feature, a block's partners end where that differs by `reach`.
    """
    order = np.argsort(fingerprints[:, 0], kind="stable")
    points = fingerprints[order]
    halves = np.einsum("nf,nf->n", points, points)[:, None] / 2
    ones = np.ones_like(halves)
    # -|a - b|^2 / 2 = a.b - |a|^2 / 2 - |b|^2 / 2, as one product of matrices.
    left = np.concatenate([points, -halves, ones], axis=1)
    right = np.concatenate([points, ones, -halves], axis=1).T.copy()
    for start in range(0, len(points), block):
        rows = left[start : start + block]
        end = int(np.searchsorted(points[:, 0], rows[-1, 0] + reach, side="right"))
        for first in range(start, end, 2 * block):
            products = rows @ right[:, first : min(first + 2 * block, end)]
            found = np.flatnonzero(products > -(reach**2) / 2)
            if len(found):
                one, other = np.divmod(found, products.shape[1])
                pairs = np.stack([one + start, other + first], axis=1)
                yield order[pairs[pairs[:, 0] < pairs[:, 1]]]


def _agree_in_colour(
    images: NDArray[np.uint8], positions: Indices, pairs: Indices
) -> NDArray[np.bool_]:
    """Whether the 8x8 thumbnails of pairs agree, but for brightness and contrast; shape (p,)."""
    agree = np.zeros(len(pairs), bool)
    # An image may be in thousands of pairs, as a frame of a film is.
    involved, place = np.unique(pairs, return_inverse=True)
    found = [
        _thumbnails(images[positions[involved[part]]])
        for part in _chunks(len(involved), images[0].size)
    ]
    thumbnails = np.concatenate(found) if found else np.empty((0, 8, 8, 1), np.float32)
    place = place.reshape(pairs.shape)
    for part in _chunks(len(pairs), 2 * math.prod(thumbnails.shape[1:])):
        both = thumbnails[place[part].T]
        means = both.mean(axis=(2, 3, 4))
        contrasts = both.mean(axis=-1).std(axis=(2, 3)) + 0.1
        ratio, contrast = contrasts[1] / contrasts[0], np.sqrt(contrasts[0] * contrasts[1])
        scaled = (both - means[..., None, None, None]) * (contrast / contrasts)[
            ..., None, None, None
        ]
        squares = ((scaled[0] - scaled[1]) ** 2).mean(axis=3)
        # Simulated copies differ by less in 99 of 100 cases; recoloured pictures by more.
        agree[part] = (
            (np.abs(np.log(ratio)) <= np.log(1.25))
            & (np.abs(means[0] - means[1]) <= 25)
            & (np.sqrt(squares.mean(axis=(1, 2))) <= np.maximum(8, 0.3 * contrast))
            & (np.sqrt(squares.max(axis=(1, 2))) <= np.maximum(24, 0.8 * contrast))
        )
    return agree


def _grays(images: NDArray[np.uint8], positions: Indices) -> Floats:
    """Returns gray images of at most 16x16 pixels, shape (m, s, s)."""
    size = _fingerprint_size(images)
    result = np.empty((len(positions), size, size), np.float32)
    for part in _chunks(len(positions), images[0].size):
        result[part] = _shrunk(_to_gray(images[positions[part]]), size)
    return result


def _thumbnails(images: NDArray[np.uint8]) -> Floats:
    """Returns the colours of images at 8x8 pixels, shape (m, 8, 8, channels)."""
    channels = images[..., None] if images.ndim == 3 else images
    planes = channels.astype(np.float32).transpose(0, 3, 1, 2)
    return _shrunk(planes, _THUMBNAIL_SIZE).transpose(0, 2, 3, 1)


def _shrunk(planes: Floats, size: int) -> Floats:
    """Returns planes, shape (..., height, width), at `size` x `size` pixels."""
    rows, columns = (_resampling(length, size) for length in planes.shape[-2:])
    return np.asarray(rows @ planes @ columns.T, dtype=np.float32)


def _to_gray(images: NDArray[np.uint8]) -> Floats:
    floats = images.astype(np.float32)
    return floats if images.ndim == 3 else floats @ _LUMA


def _normalized(grays: Floats) -> tuple[Floats, Floats]:
    """Returns patterns of mean 0 and norm 1, shape (m, pixels), and the norms they had."""
    patterns = grays.reshape(len(grays), -1)
    patterns = patterns - patterns.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(patterns, axis=1)
    return patterns / np.maximum(norms, 1e-3)[:, None], norms


def _resampling(length: int, size: int, *, margin: float = 0.0) -> Floats:
    """Returns the matrix, shape (size, length), of Pillow's antialiased bilinear resizing.

    Args:
        length: Side of the image that is resized, pixels.
        size: Side that it is resized to, pixels.
        margin: Share of the length that is cut off at either end first.
    """
    scale = length * (1 - 2 * margin) / size
    centres = length * margin + (np.arange(size) + 0.5) * scale
    distances = np.abs(np.arange(length) + 0.5 - centres[:, None])
    weights = np.maximum(1 - distances / max(scale, 1.0), 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _there_and_back(length: int, scale: float) -> Floats:
    between = max(round(length * scale), 1)
    return _resampling(between, length) @ _resampling(length, between)


def _fingerprint_size(images: NDArray[np.uint8]) -> int:
    return int(min(_FINGERPRINT_SIZE, images.shape[1], images.shape[2]))


def _spread(number: int, most: int) -> Indices:
    """Returns up to `most` positions of `number`, evenly spread."""
    return np.unique(np.linspace(0, number - 1, most).astype(np.int64))


def _chunks(number: int, values_each: int) -> Iterator[slice]:
    step = max(_CHUNK // values_each, 1)
    return (slice(start, start + step) for start in range(0, number, step))
