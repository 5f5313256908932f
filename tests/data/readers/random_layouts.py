"""Makes folders of images as people have them, and knows what must become of every file.

The oracle is the maker's own book: it writes down what each file is when it puts it there. All
image files are hard links of one PNG of one pixel, so that a layout costs about a millisecond.
"""

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SPELLINGS = {
    "train": ("train", "training", "Train", "TRAINING", "trainval"),
    "val": ("val", "valid", "validation", "dev", "Valid", "VALIDATION"),
    "test": ("test", "testing", "Test", "holdout", "eval", "evaluation"),
}
STYLES = (
    *("{}", "{}", "{}_set", "{}-images", "{}_images", "images_{}", "seg_{}", "my.{}", "{} set"),
    *("{}1", "{}2017", "{}data", "{}Set", "flowers_{}", "pets-{}", "0_{}"),
)
CLASSES = (
    *("cat", "dog", "Cow", "bullet train", "golden retriever", "0", "1", "10", "n01440764", "été"),
    *("trainer", "contest", "valley", "images of sheep", "developer", "cat.1", "tests"),
)
LITTER_FILES = (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", "a.png.part", "0.jpg~", "x.dvc")
LITTER_FOLDERS = ("@eaDir", "__MACOSX", "#recycle", ".git", ".thumbnails", ".ipynb_checkpoints")
IMAGE_NAMES = (
    "{}.png",
    "{}.jpg",
    "{}.JPG",
    "{}.jfif",
    "{}.jpe",
    "{}.PNG",
    "{}.webp",
    "{}",
    "{}.bin",
)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0"
STRAY_FILES = (
    *((name, b"x", "litter of systems and programs") for name in LITTER_FILES),
    *((name, b"hello", "no picture") for name in ("notes.txt", "README", "a.xml")),
    (".hidden.png", b"x", "hidden"),
    ("p.HEIC", HEIC, "HEIC or HEIF, which needs pillow-heif"),
    ("phone", HEIC, "HEIC or HEIF, which needs pillow-heif"),
    ("r.CR2", b"II*\0", "format that is not read"),
)


@dataclass
class Layout:
    """A folder, how it is to be read, and what must become of it.

    Attributes:
        root: The folder.
        store: A folder outside, for links to lead to.
        used: Part and class of each image that must be used, by path.
        left_out: The reason of each other file, by path.
        refused: Why it must be refused, in words; empty if it must not.
        parts: `fetch.parts`.
        labels: `fetch.labels`.
    """

    root: Path
    store: Path
    png: Path
    draw: Random
    used: dict[str, tuple[str, str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    refused: str = ""
    parts: object = "auto"
    labels: str | None = None

    def image(self, folder, outcome, name=None):
        """Puts an image; `outcome` is (part, class), or a reason."""
        kind = self.draw.choice(IMAGE_NAMES)
        name = name or kind.format(f"i{len(self.used) + len(self.left_out)}")
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self.png, path)
        self.note(f"{folder}/{name}" if folder else name, outcome)

    def note(self, name, outcome):
        (self.left_out if isinstance(outcome, str) else self.used)[name] = outcome

    def images(self, folder, outcome, low=1, high=4):
        for _ in range(self.draw.randint(low, high)):
            self.image(folder, outcome)

    def class_folder(self, folder, part, name):
        """Puts images of a class, some of them deeper."""
        path = f"{folder}/{name}".lstrip("/")
        outcome = (part, name)
        self.images(path, outcome)
        if self.draw.random() < 0.15:
            self.images(f"{path}/{self.draw.choice(['more', 'a/b', 'old.jpg'])}", outcome)
        if self.draw.random() < 0.1:
            self.link_of_folder(path, outcome)
        if self.draw.random() < 0.1:
            self.links_of_files(path, outcome)
        if self.draw.random() < 0.15:
            self.stray(path)

    def link_of_folder(self, path, outcome):
        target = self.store / f"s{len(self.used)}"
        target.mkdir(parents=True)
        os.link(self.png, target / "far.png")
        (self.root / path / "zlink").symlink_to(target)
        self.note(f"{path}/zlink/far.png", outcome)
        if self.draw.random() < 0.5:
            (target / "up").symlink_to(target)
            self.note(f"{path}/zlink/up", "link to a folder that it lies in")
        if self.draw.random() < 0.5:
            (self.root / path / "zzlink").symlink_to(target)
            twice = "the same file of the same class, reached again by a link"
            self.note(f"{path}/zzlink/far.png", twice)
            if (target / "up").is_symlink():
                self.note(f"{path}/zzlink/up", "link to a folder that it lies in")

    def links_of_files(self, path, outcome):
        self.store.mkdir(exist_ok=True)
        far = self.store / f"f{len(self.used)}.png"
        os.link(self.png, far)
        (self.root / path / "zfar.png").symlink_to(far)
        self.note(f"{path}/zfar.png", outcome)
        self.image(path, outcome, name="zreal.png")
        (self.root / path / "alink.png").symlink_to("zreal.png")
        self.note(f"{path}/alink.png", "the same file of the same class, reached again by a link")

    def stray(self, path):
        """Puts something that is no image of this data set, wherever it lies."""
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        below = f"{path}/" if path else ""
        kind = self.draw.randrange(4)
        if kind == 0:
            name = self.draw.choice(LITTER_FOLDERS)
            if not (folder / name).exists():
                self.image(f"{below}{name}/x", "litter of systems and programs", name="thumb.jpg")
        elif kind == 1 and not (folder / "gone.png").is_symlink():
            (folder / "gone.png").symlink_to("nowhere.png")
            self.note(f"{below}gone.png", "link that leads nowhere")
        elif kind == 2 and not (folder / "top").is_symlink():
            (folder / "top").symlink_to(self.root)
            self.note(f"{below}top", "link to a folder that it lies in")
        else:
            name, content, reason = self.draw.choice(STRAY_FILES)
            self.write(f"{below}{name}", content, reason)

    def write(self, name, content, reason):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.note(name, reason)


def _wrapper(layout):
    """Draws folders that hold nothing but one another."""
    return "/".join(
        layout.draw.sample(
            ["dataset", "archive (1)", "images", "v2"], layout.draw.choice([0, 0, 0, 1, 2])
        )
    )


def _join(*names):
    return "/".join(name for name in names if name)


def _classes(layout, low=2):
    return layout.draw.sample(CLASSES, layout.draw.randint(low, 5))


def _part_names(layout, parts):
    """Draws a spelling for each part, in one style or in another for each."""
    one = layout.draw.choice(STYLES)
    free = [style for style in STYLES if not style.startswith(("flowers", "pets"))]
    is_one = layout.draw.random() < 0.6
    return {
        part: (one if is_one else layout.draw.choice(free)).format(
            layout.draw.choice(SPELLINGS[part])
        )
        for part in parts
    }


def undivided(layout):
    top = _wrapper(layout)
    for name in _classes(layout):
        layout.class_folder(top, "train", name)
    for _ in range(layout.draw.choice([0, 0, 1, 2])):
        layout.stray("")
    if top and len(layout.used) >= 10:
        layout.image("", "no class folder", name="preview.png")
    if not top and layout.draw.random() < 0.2:
        layout.image("", "no class folder", name="loose.png")


def divided(layout):
    parts = ["train", *layout.draw.choice([("val", "test"), ("test",), ("val",), ("test", "val")])]
    names, top, classes = _part_names(layout, parts), _wrapper(layout), _classes(layout)
    for part, name in names.items():
        nested = layout.draw.choice(["", "", "", name, "images"])
        where = _join(top, name, nested)
        is_labelled = part == "train" or layout.draw.random() < 0.8
        of_part = classes if part == "train" else layout.draw.sample(classes, 2)
        if not is_labelled:
            where = _join(where, layout.draw.choice(["", "", "unknown"]))
            layout.images(where, "no class folder")
            continue
        for class_name in of_part:
            layout.class_folder(where, part, class_name)
        if layout.draw.random() < 0.2 and not nested:
            layout.images(where, "no class folder")
    if layout.draw.random() < 0.2:
        inner = layout.draw.choice(["", "seg_pred", "images"])
        layout.images(_join(top, "seg_pred", inner), "no class folder")
    if layout.draw.random() < 0.2 and not top:
        layout.write("annotations/a.xml", b"<a/>", "no picture")
        layout.image("", "no class folder", name="loose.png")
    for _ in range(layout.draw.choice([0, 0, 1, 2])):
        layout.stray("")


def vehicles(layout):
    """`train` that is a class: it holds images, as its siblings do."""
    for name in ["train", *layout.draw.sample(["car", "bus", "ship", "plane"], 2)]:
        layout.images(name, ("train", name))


def explicit(layout):
    """What cannot be guessed, said by `fetch.parts`."""
    if layout.draw.random() < 0.5:
        layout.parts = "none"
        for name in layout.draw.sample(["train", "test", "validation", "dev", "cat"], 3):
            layout.images(name, ("train", name))
        return
    layout.parts = {"train": "one", "test": layout.draw.choice(["two", "one/two", "x/two"])}
    for part, folder in layout.parts.items():
        for name in ("cat", "dog"):
            layout.images(f"{folder}/{name}", (part, name))
    layout.images("three/cat", "outside fetch.parts")
    layout.images("one", "no class folder")


def table(layout):
    """Labels in a table beside images."""
    layout.labels = layout.draw.choice(["labels.csv", "labels.tsv", "meta/train.csv"])
    folder = layout.draw.choice(["images", "", "a/b"])
    by_name = layout.draw.choice(["full", "name", "stem"])
    has_parts = layout.draw.random() < 0.4
    tab = layout.labels.endswith("tsv")
    rows = []
    for index in range(layout.draw.randint(4, 12)):
        label = ("red, dark", "blue", "9", "10")[index % layout.draw.choice([2, 2, 4])]
        # Each class is in train first.
        in_train = any(row[1] == label for row in rows)
        part = layout.draw.choice(["train", "valid", "TEST"]) if has_parts and in_train else "train"
        name = f"p{index}.png"
        split = {"train": "train", "valid": "val", "TEST": "test"}[part]
        layout.image(folder, (split, label), name=name)
        given = {"full": _join(folder, name), "name": name, "stem": f"p{index}"}[by_name]
        rows.append([given, label, *([part] if has_parts else [])])
    if layout.draw.random() < 0.5:
        layout.image(folder, f"not in {layout.labels}", name="extra.png")
    header = [
        layout.draw.choice(["filename", "Image_ID", "path", "id"]),
        layout.draw.choice(["label", "Class", "breed"]),
    ]
    header += [layout.draw.choice(["split", "part", "Subset"])] if has_parts else []
    if layout.draw.random() < 0.25:
        rows.append(["missing.png", *rows[0][1:]])
        layout.refused = "a row without an image"
    elif layout.draw.random() < 0.2:
        rows.append([rows[0][0], "blue" if rows[0][1] != "blue" else "9", *rows[0][2:]])
        layout.refused = "two labels of an image"
    path = layout.root / layout.labels
    path.parent.mkdir(exist_ok=True, parents=True)
    with path.open("w", newline="", encoding="utf-8-sig") as stream:
        csv.writer(stream, delimiter="\t" if tab else ",").writerows([header, *rows])


def refused(layout):
    """What looks like parts and cannot be understood, or no classes at all."""
    put = lambda *folders: [layout.images(folder, "-") for folder in folders]  # noqa: E731
    train, val, test = _part_names(layout, ("train", "val", "test")).values()
    kinds = {
        "flat parts": lambda: put(train, test),
        "flat parts beside a flat val": lambda: put(train, val, test),
        "one part twice": lambda: put("train/a", "train/b", "training/a", "test/a"),
        "numbered parts": lambda: put("train1/a", "train1/b", "train2/a", "train2/b"),
        "a class beside parts": lambda: put(f"{train}/a", f"{train}/b", f"{test}/a", "c"),
        "no train": lambda: put(f"{val}/a", f"{val}/b", f"{test}/a"),
        "folders of the same folders": lambda: put("A/x", "A/y", "B/x", "B/y", "C/x"),
        "the same in wrappers": lambda: put("A/i/x", "A/i/y", "B/i/x", "B/i/y"),
        "folds": lambda: put("fold1/a", "fold1/b", "fold2/a", "fold2/b", "fold3/a", "fold3/b"),
        "other languages": lambda: put("Übung/a", "Übung/b", "Prüfung/a", "Prüfung/b"),
        "parts in classes": lambda: put("cat/train", "cat/test", "dog/train"),
        "parts deep in classes": lambda: put("cat/i/train", "cat/i/test", "dog/i/train"),
        "parts in names of classes": lambda: put("cat_train", "dog_train", "cat_test", "dog_test"),
        "a part in a part": lambda: put("train/val/a", "train/val/b", "test/a", "test/b"),
        "a class called validation": lambda: put("cat", "dog", "validation"),
        "a class called test": lambda: put("cat", "dog", "Test Set"),
        "validation in train only": lambda: put("train/a", "train/b", "train/validation", "test/a"),
        "parts in train": lambda: put(
            "train/train/a", "train/train/b", "train/val/a", "train/val/b"
        ),
        "train beside images": lambda: put("train", "images"),
        "train beside unlabelled": lambda: put("train", "unlabeled"),
        "a class of test alone": lambda: put(f"{train}/a", f"{train}/b", f"{test}/c"),
        "train with folders beside flat": lambda: put("train/a", "train/b", "car", "bus"),
        "two data sets": lambda: put("A/train/x", "A/train/y", "A/test/x", "B/train/x"),
        "one folder": lambda: put("images"),
        "one class": lambda: put(f"{train}/a", f"{test}/a"),
        "no folder": lambda: put(""),
        "flat train, labelled test": lambda: put(train, f"{test}/a", f"{test}/b"),
        "an empty class": lambda: (put("a", "b"), (layout.root / "c").mkdir()),
        "nothing": lambda: layout.root.mkdir(exist_ok=True),
    }
    layout.refused = layout.draw.choice(sorted(kinds))
    kinds[layout.refused]()
    if layout.draw.random() < 0.3:
        layout.write(".DS_Store", b"x", "-")


MAKERS = (
    undivided,
    undivided,
    divided,
    divided,
    divided,
    vehicles,
    explicit,
    table,
    refused,
    refused,
)


def make_layout(folder, png, seed):
    """Returns a layout, made below `folder`."""
    layout = Layout(root=folder / "own", store=folder / "store", png=png, draw=Random(seed))
    layout.root.mkdir(parents=True)
    layout.draw.choice(MAKERS)(layout)
    return layout
