"""Files of earlier stages, for tests of what is registered: there, but of no meaning."""

from testing.features import write_cuts


def write_missing(root, *, study="transfer", base="efficientnet_lite0"):
    """Writes what a model's chain of hashes names, as far as it is not there."""
    for name in (
        "data/raw/images.npy",
        f"data/features/{base}/block4_add.npy",
        f"results/{study}/study.json",
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_bytes(b"made up")
    if not (root / f"data/features/{base}/manifest.json").exists():
        write_cuts(root / f"data/features/{base}")
    if not (root / "params.yaml").exists():
        (root / "params.yaml").write_text("split: {seed: 1}\n")
