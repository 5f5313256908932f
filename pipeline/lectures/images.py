"""A few images of the data set, drawn from the parts that a search may see."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labelled import load_raw
from pipeline.data.rows import write_rows
from pipeline.data.split_params import SplitParams
from pipeline.data.splits import divide
from pipeline.planning.sample import stratified_order

MOST_TO_VALIDATE = 1000
MOST_TO_JUDGE = 2000


def write_few(raw: Path, file: Path, params: SplitParams, *, num_train: int) -> int:
    """Writes images, labels and the rows of train, val and confirmation, as the stage `split` does.

    Each part is a stratified sample of the split's own part of that name: nothing comes from the
    test part.

    Args:
        raw: What `fetch` wrote.
        file: Where it goes.
        params: The section `split`.
        num_train: Most images of the part train.

    Returns:
        How many images of the part train there are.

    Raises:
        DataIntegrityError: If `raw` is missing, incomplete or changed.
        ConfigError: If the sizes of the split do not fit the data set.
    """
    _, data = load_raw(raw)
    split = divide(data, params)

    def few(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        return rows[stratified_order(data.labels[rows], seed=0)[:most]]

    parts = {
        "train": few(split.train, num_train),
        "val": few(split.val, MOST_TO_VALIDATE),
        "confirmation": few(split.confirmation, MOST_TO_JUDGE),
    }
    kept = np.sort(np.concatenate(list(parts.values())))
    places = {name: np.searchsorted(kept, np.sort(rows)) for name, rows in parts.items()}
    write_rows(file, data.images, kept, {"labels": data.labels[kept], **places})
    return len(parts["train"])
