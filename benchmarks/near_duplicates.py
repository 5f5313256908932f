"""What `pipeline.data.near_copies` finds: simulated copies (recall), and pairs among the originals.

Whether those pairs are true copies only eyes can tell: `--sheet` draws them, at most 120, evenly
spread. Each kind of copy is a run of its own: the copies of `--copies` images, spread evenly, are
appended to all images, as files of another size or quality would come in through `pipeline.data.
images`. Reads what `python -m pipeline fetch` left in data/raw, or copies of that folder. Takes
about 3 minutes for CIFAR-10 on two cores.

Run: python -m benchmarks.near_duplicates [data/raw ...] [--copies 500] [--sheet pairs.png]
"""

import argparse
import io
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from pipeline.data.labelled import LabelledImages, load_raw
from pipeline.data.near_copies import near_pairs
from pipeline.data.pool import content_ids, first_of_each

Change = Callable[[Image.Image], Image.Image]
BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR


def resized(scale: float, method: Image.Resampling) -> Change:
    """Of another size, brought back as a folder's images are."""

    def change(image: Image.Image) -> Image.Image:
        other = image.resize((round(image.width * scale), round(image.height * scale)), method)
        return ImageOps.fit(other, image.size, method=BILINEAR)

    return change


def compressed(quality: int) -> Change:
    """JPEG of this quality."""

    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert(image.mode)

    return change


def brighter(factor: float) -> Change:
    """All values multiplied, and clipped at 255."""
    return lambda image: image.point(lambda value: min(255, round(factor * value)))


def cut(share: float) -> Change:
    """A border cut off, `share` of the width in all, and brought back to size."""

    def change(image: Image.Image) -> Image.Image:
        x, y = (share / 2 * length for length in image.size)
        box = (x, y, image.width - x, image.height - y)
        return image.resize(image.size, BICUBIC, box=box)

    return change


KINDS: dict[str, Change] = {
    "75%, bicubic": resized(0.75, BICUBIC),
    "75%, bilinear": resized(0.75, BILINEAR),
    "50%, bicubic": resized(0.5, BICUBIC),
    "50%, bilinear": resized(0.5, BILINEAR),
    "125%, bicubic": resized(1.25, BICUBIC),
    "JPEG 95": compressed(95),
    "JPEG 75": compressed(75),
    "JPEG 50": compressed(50),
    "brightness +5%": brighter(1.05),
    "brightness -5%": brighter(0.95),
    "2% cut off": cut(0.02),
    "50%, then JPEG 75": lambda image: compressed(75)(resized(0.5, BICUBIC)(image)),
    "mirrored": ImageOps.mirror,
}


def share_found(images: NDArray[np.uint8], change: Change, number: int) -> float:
    """Returns how many of `number` copies are found as those of their originals."""
    originals = np.unique(np.linspace(0, len(images) - 1, number).astype(int))
    copies = np.stack([np.asarray(change(Image.fromarray(images[at]))) for at in originals])
    everything = np.concatenate([images, copies])
    pairs = {tuple(pair) for pair in near_pairs(everything, np.arange(len(everything))).tolist()}
    found = [(int(at), len(images) + row) in pairs for row, at in enumerate(originals)]
    # Pixel for pixel the same: no near copy, and found all the same.
    same = [np.array_equal(images[at], copy) for at, copy in zip(originals, copies, strict=True)]
    return float(np.mean(np.array(found) | np.array(same)))


def draw_pairs(images: NDArray[np.uint8], pairs: NDArray[np.int64], file: Path) -> None:
    """Draws pairs side by side, with their indices below; 10 in a row."""
    size, gap, across = 64, 12, 10
    chosen = pairs[np.unique(np.linspace(0, len(pairs) - 1, 120).astype(int))]
    width, height = 2 * size + gap, size + gap
    sheet = Image.new("RGB", (across * width, -(-len(chosen) // across) * height), "white")
    for number, pair in enumerate(chosen):
        x, y = number % across * width, number // across * height
        for side, index in enumerate(pair):
            picture = Image.fromarray(images[index]).convert("RGB").resize((size, size))
            sheet.paste(picture, (x + side * size, y))
        ImageDraw.Draw(sheet).text((x, y + size), f"{pair[0]} {pair[1]}", fill="black")
    sheet.save(file)


def report_originals(data: LabelledImages, sheet: Path | None) -> None:
    """Prints the pairs among the images themselves, and what finding them took."""
    images = data.images
    start, cpu = time.perf_counter(), time.process_time()
    distinct = first_of_each(content_ids(images))
    pairs = distinct[near_pairs(images, distinct)]
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    is_test = data.parts[pairs] == "test"
    print(
        f"  {len(images) - len(distinct)} exact copies; {len(pairs)} near pairs of "
        f"{len(np.unique(pairs))} images ({len(np.unique(pairs)) / len(images):.3%}), "
        f"{int((is_test[:, 0] != is_test[:, 1]).sum())} across the test part's boundary, "
        f"{int((data.labels[pairs[:, 0]] != data.labels[pairs[:, 1]]).sum())} of two labels; "
        f"{seconds:.1f} s ({cpu:.1f} s CPU), peak {memory:.0f} MB"
    )
    if sheet is not None and len(pairs):
        draw_pairs(images, pairs, sheet)
        print(f"  drawn in {sheet}")


def main() -> None:
    """Prints a table for each folder."""
    parser = argparse.ArgumentParser(description="Measure how near copies are found.")
    parser.add_argument("raw", nargs="*", type=Path, default=[Path("data/raw")])
    parser.add_argument("--copies", type=int, default=500, help="of each kind; 0: none")
    parser.add_argument("--sheet", type=Path, help="PNG of the pairs found; one folder only")
    arguments = parser.parse_args()
    for raw in arguments.raw:
        dataset, data = load_raw(raw)
        print(f"{raw}: {dataset}, {data.images.shape}", flush=True)
        report_originals(data, arguments.sheet)
        for kind, change in KINDS.items() if arguments.copies else ():
            found = share_found(data.images, change, min(arguments.copies, len(data.images)))
            print(f"  {kind:18} {found:.3f}", flush=True)


if __name__ == "__main__":
    main()
