"""A small base of random weights, and its features of the digits, as `embed` leaves them."""

import numpy as np

from testing.features import write_cuts

IMAGE_SIZE = 8
CUTS = ["stem", "block1", "block2", "block3", "top"]
BATCH_NORMS = ["stem_bn", "bn1", "bn2", "bn3"]
PARTS = {"train": 360, "val": 120, "confirmation": 120}
NUM_IMAGES = sum(PARTS.values())


def small_base(seed=0):
    """Residual, with batch normalization whose statistics are none of a batch's, and dropout."""
    import keras
    from keras import layers

    def conv(x, filters, name, strides=1):
        return layers.Conv2D(filters, 3, strides=strides, padding="same", name=name)(x)

    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), name="images")
    x = layers.Rescaling(1 / 64, offset=-1.0, name="scale")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(conv(x, 8, "stem_conv"))
    x = layers.ReLU(name="stem")(x)
    x = layers.BatchNormalization(name="bn1")(conv(x, 12, "conv1", strides=2))
    x = layers.ReLU(name="block1")(x)
    y = layers.BatchNormalization(name="bn2")(conv(x, 12, "conv2a"))
    y = layers.Dropout(0.5, name="drop")(conv(layers.ReLU(name="relu2")(y), 12, "conv2b"))
    x = layers.Add(name="block2")([x, y])
    x = layers.BatchNormalization(name="bn3")(conv(x, 16, "conv3"))
    x = layers.ReLU(name="block3")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(name="top")(x), name="small")
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([_random(rng, w) for w in layer.get_weights()])
    model.trainable = False
    return model


def _random(rng, weight):
    if weight.ndim == 4:
        fan_in = np.prod(weight.shape[:3])
        return rng.normal(0, np.sqrt(2 / fan_in), weight.shape)
    return rng.uniform(0.5, 1.5, weight.shape)


def digits(num_images=NUM_IMAGES):
    """Real images, uint8 (n, 8, 8), and their classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images * 15).astype(np.uint8)[:num_images], data.target[:num_images].astype(int)


def rows(parts=PARTS):
    split = np.split(np.arange(sum(parts.values())), np.cumsum(list(parts.values()))[:-1])
    return dict(zip(parts, split, strict=True))


def centre_of(features):
    """What `embed` would take away from each channel before it rounds."""
    return features[:256].mean(axis=tuple(range(features.ndim - 1)), dtype=np.float32)


def from_cache(features):
    """What a training gets of features that `embed` kept: float32, rounded by float16."""
    centre = centre_of(features)
    return (features - centre).astype(np.float16).astype(np.float32) + centre


def whole(cut):
    """What a head is fed with that stands on a layer's output as it is."""
    from pipeline.bases.cuts import PooledCut

    return (PooledCut(layer=cut),)


def read_features(reference, cut):
    """What a training gets of a cut's rows, (n, ...) float32."""
    data = reference.load_cut(cut, judge=None).training
    return data.features.astype(np.float32) + data.centre


def write_features(folder, base, *, cuts=CUTS, dtype=np.float16, pooling=None):
    """Writes what `embed` and `split` would; returns where it lies.

    Of several cuts side by side every number has a mean and variance of its own.
    """
    from pipeline.bases.cuts import find_cuts
    from pipeline.bases.graph import truncate
    from pipeline.bases.model_files import weights_sha256
    from pipeline.bases.table import preprocessing
    from pipeline.features.arrays import WrittenArray
    from pipeline.features.joined_cuts import joined, kept_cuts
    from pipeline.features.manifest import EmbeddedCut
    from pipeline.features.saved_base import save_base
    from pipeline.training.data import DataReference

    images, labels = digits()
    parts = rows()
    colours = preprocessing(images.shape[1:], IMAGE_SIZE)(images)
    limits = {"num_images": len(images), "max_bytes": 10**9, "where": "small"}
    entries = {}
    for cut in kept_cuts(find_cuts(base), cuts, pooling or {}, **limits):
        outputs = {
            part.layer: truncate(base, [part.layer])(colours, training=False) for part in cut.feed
        }
        features = np.asarray(joined(outputs, cut.feed, prefix="kept"))
        centre = centre_of(features)
        np.save(folder / f"{cut.name}.npy", (features - centre).astype(dtype))
        train = features[parts["train"]].astype(np.float64)
        axes = tuple(range(train.ndim - 1))
        array = WrittenArray(
            mean=train.mean(axis=axes).tolist(),
            variance=train.var(axis=axes).tolist(),
            sha256="",
            centre=centre.tolist(),
        )
        entries[cut.name] = EmbeddedCut.of(cut, array, key="", rank=None)
    save_base(base, folder)
    digest = weights_sha256(base)
    told = {"base": "small", "image_size": IMAGE_SIZE, "weights_sha256": digest, "num_classes": 10}
    write_cuts(folder, entries, **told)
    np.savez(folder / "train.npz", labels=labels, images=images, **parts)
    return DataReference(features=str(folder), train_file=str(folder / "train.npz"))
