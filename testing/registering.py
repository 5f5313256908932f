"""Models of known accuracy, registered as the stage does on images of the store's own checkout."""

import zipfile
from dataclasses import replace
from functools import partial

from pipeline.records.model_registry import registration
from pipeline.studies.comparison import compare
from testing.records import made_candidate, made_confirmation

MEMBERS = [(5, 7), (5, 9), (3, 7)]
NUM_IMAGES = 2400
BAND = 80  # Gray levels of a class, whose images are all of one gray each.


def write_confirmation_part(root):
    """Writes images of three classes by how bright they are; all are of the confirmation part."""
    import numpy as np

    grays = np.repeat(np.arange(3 * BAND), NUM_IMAGES // (3 * BAND)).astype(np.uint8)
    images = np.tile(grays[:, None, None], (1, 8, 8))
    (root / "data").mkdir(exist_ok=True)
    np.savez(
        root / "data/train.npz",
        images=images,
        labels=grays.astype(np.int64) // BAND,
        confirmation=np.arange(len(images)),
    )


def classifier(seed, accuracy):
    """A model that takes the brightest images below a class for that class, so many are wrong."""
    import keras
    import numpy as np

    images = keras.Input((8, 8), dtype="uint8")
    brightness = keras.layers.Flatten()(keras.layers.Rescaling(1.0)(images))
    dense = keras.layers.Dense(3, activation="softmax")
    model = keras.Model(images, dense(brightness))
    late = (1 - accuracy) * 3 * BAND / 2 - 0.5
    first, second = BAND + late, 2 * BAND + late
    scale = 0.05 * (1 + seed / 100)  # Other weights, the same classes.
    slopes = np.tile([0.0, 1.0, 2.0], (64, 1)) / 64
    dense.set_weights([scale * slopes, scale * np.array([0.0, -first, -first - second])])
    return model


def made_model(
    root, split, *, seed=0, mean=0.94, data="ab" * 32, study="transfer", test_accuracy=0.9
):
    """Makes a model of three classes on 8x8 images, with what confirm found out about it.

    Its mean is also its accuracy on the confirmation images, give or take 1 of 240.
    """
    import numpy as np

    from pipeline.bases.model_files import weights_sha256
    from pipeline.records.model_registry.champion import Evidence
    from pipeline.records.model_registry.versions import Candidate

    if not (root / "data/train.npz").exists():
        write_confirmation_part(root)
    model = classifier(seed, mean)
    file = root / "models" / f"{study}.keras"
    file.parent.mkdir(exist_ok=True)
    model.save(file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"Saving the same model again gives another file."
    confirm = made_confirmation(
        made_candidate(5, mean, 3, hyperparameters={"units": 64}),
        **{"study": study, "base": "efficientnet_lite0", "n": 30, "members": MEMBERS},
        base_source={"model": "models:/flowers-classifier@champion", "version": "3"},
        metrics={"accuracy": mean, "log_loss": 0.2},
        exported={"file": str(file), "rule": "all"},
    )
    results = root / "results" / study
    results.mkdir(parents=True, exist_ok=True)
    (results / "confirm.json").write_text("{}")
    return Candidate(
        model=model,
        model_file=file,
        evidence=Evidence(
            objective="val_accuracy",
            data_digest=data[:36],
            weights_sha256=weights_sha256(model),
            mean=mean,
            low=mean - 0.004,
            high=mean + 0.004,
            n=30,
            num_seeds=3,
        ),
        test={
            "accuracy": {"value": test_accuracy, "low": 0.85, "high": 0.95, "n": 1000},
            "log_loss": {"value": 0.3, "low": 0.25, "high": 0.35, "n": 1000},
        },
        lineage={"git.commit": "c0ffee", "version.keras": "3.15.1"},
        confirm=confirm,
        split=replace(split, sha256={"train": data}),
        examples=np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8),
        results=results,
    )


def register(store, candidate, **told):
    """Returns what was registered."""
    return registration.register(
        store, candidate, compare=partial(compare, root=store.root), **told
    )
