"""Manifests of features as `embed` leaves them, for tests and benchmarks that embed nothing."""

from pipeline.features.manifest import CutPart, EmbeddedCut, Manifest, write_manifest


def embedded(below=0, **changes):
    """Returns an array's description: of a layer with so many parameters below it.

    `parts` may be given as a mapping from layers to their parameters below.
    """
    parts = changes.pop("parts", {})
    if parts:
        below = max(parts.values())
        changes["parts"] = tuple(
            CutPart(cut=cut, pooling="grid2", shape=(4,), num_parameters_below=number)
            for cut, number in parts.items()
        )
    told = {"file": "cut.npy", "shape": (4,), "dtype": "float16", "mean": [0.0], "variance": [1.0]}
    return EmbeddedCut(**{**told, "num_parameters_below": below, **changes})


def manifest(cuts=None, **changes):
    """Returns the manifest of a base with these cuts; of one of pixels unless others are given."""
    told = {
        "base": "none",
        "image_size": None,
        "weights_sha256": None,
        "image_shape": (8, 8),
        "num_images": 6,
        "num_classes": 2,
        "cuts": {"pixels": embedded()} if cuts is None else cuts,
    }
    return Manifest(**{**told, **changes})


def write_cuts(folder, cuts=None, **changes):
    """Writes such a manifest into a folder, which is made."""
    write_manifest(manifest(cuts, **changes), folder)
