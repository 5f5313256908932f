"""Small networks with the graphs of the well-known ones."""


def conv(x, filters, name, **settings):
    import keras

    return keras.layers.Conv2D(filters, 3, padding="same", name=name, **settings)(x)


def chain():
    """A chain a -> b -> c: every layer is a cut point."""
    import keras

    inputs = keras.Input((8, 8, 3))
    x = conv(inputs, 4, "a")
    x = keras.layers.ReLU(name="b")(x)
    return keras.Model(inputs, conv(x, 5, "c"))


def residual():
    """A sum, stem -> (left, +) -> end: nothing between the branching and the sum is a cut point."""
    import keras

    inputs = keras.Input((8, 8, 3))
    stem = conv(inputs, 4, "stem")
    left = keras.layers.ReLU(name="left_relu")(conv(stem, 4, "left"))
    total = keras.layers.Add(name="sum")([stem, left])
    return keras.Model(inputs, conv(total, 4, "end"))


def dense():
    """Each concatenation holds all before it, so that it is a cut point and its input is none."""
    import keras

    inputs = keras.Input((8, 8, 3))
    x = conv(inputs, 4, "stem")
    for index in range(2):
        new = conv(x, 2, f"new_{index}")
        x = keras.layers.Concatenate(name=f"joined_{index}")([x, new])
    return keras.Model(inputs, x)


def inception():
    """Two branches from the stem; what is inside them is no cut point."""
    import keras

    inputs = keras.Input((8, 8, 3))
    stem = conv(inputs, 4, "stem")
    left = conv(conv(stem, 3, "left_0"), 3, "left_1")
    right = conv(stem, 3, "right")
    mixed = keras.layers.Concatenate(name="mixed")([left, right])
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="top")(mixed))


def long_skip():
    """An edge from the stem to the end: only the two are cut points."""
    import keras

    inputs = keras.Input((8, 8, 3))
    stem = conv(inputs, 4, "stem")
    x = keras.layers.Add(name="inner")([conv(stem, 4, "one"), conv(stem, 4, "two")])
    return keras.Model(inputs, keras.layers.Add(name="end")([stem, conv(x, 4, "three")]))


def shared():
    """A layer that is called twice has no one output to be named by."""
    import keras

    inputs = keras.Input((8, 8, 4))
    twice = keras.layers.Conv2D(4, 3, padding="same", name="twice")
    x = keras.layers.ReLU(name="between")(twice(inputs))
    return keras.Model(inputs, keras.layers.ReLU(name="end")(twice(x)))


def models_inside():
    """Two residual blocks, each a model that is called as a layer; larger, to be a base."""
    import keras

    inputs = keras.Input((32, 32, 3))
    x = conv(inputs, 8, "stem", strides=2)
    for index in range(2):
        start = keras.Input(x.shape[1:])
        new = keras.layers.ReLU(name="relu")(conv(start, 8, "conv"))
        block = keras.Model(start, keras.layers.Add(name="sum")([start, new]), name=f"block{index}")
        x = block(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="top")(x))


GRAPHS = {
    "chain": chain,
    "residual": residual,
    "dense": dense,
    "inception": inception,
    "long_skip": long_skip,
    "shared": shared,
    "models_inside": models_inside,
}
