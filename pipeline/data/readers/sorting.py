"""Images on their way from their folders to a part and a class, or to a reason to be left out."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data.parts import PARTS
from pipeline.data.readers.class_folders import EXPECTED, EXPLICIT, TABLE
from pipeline.data.readers.left_out import NO_CLASS, OTHER_FOLDER, SAME_FILE, LeftOut
from pipeline.data.readers.tree import Folder, ImageFile, Tree
from pipeline.errors import DataIntegrityError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An image, and what its place or its row says about it."""

    image: ImageFile
    part: str
    class_name: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What was taken for what.

    Attributes:
        entries: The images that are used, in the order of part, class and path.
        class_names: In the order of their numbers.
        left_out: All other files, by reason.
        described: For the manifest: the folders of the parts, or of the classes.
        text: The same for people.
    """

    entries: Sequence[Entry]
    class_names: tuple[str, ...]
    left_out: LeftOut
    described: Mapping[str, object]
    text: str


def in_order(entries: Sequence[Entry], class_names: Sequence[str]) -> list[Entry]:
    """Returns images by part, then by class as numbered, then by path."""
    parts, classes = (
        {name: number for number, name in enumerate(names)} for names in (PARTS, class_names)
    )
    return sorted(
        entries,
        key=lambda e: (parts[e.part], classes[e.class_name], e.image.name.split("/")),
    )


@dataclass(kw_only=True)
class Sorting:
    """Sorts the images of a tree into used and left out."""

    tree: Tree
    entries: list[Entry] = field(default_factory=list)

    def take(self, folder: Folder, *, part: str, without: frozenset[str] = frozenset()) -> None:
        """Takes the images of a class folder; one that two links lead to is taken once."""
        name = unicodedata.normalize("NFC", folder.name)
        seen: set[str] = set()
        images = images_apart(folder, without)
        # Sorted so that of a file and a link to it the file is taken.
        for image in sorted(images, key=lambda image: (image.is_linked, image.name.split("/"))):
            if image.real in seen:
                self.tree.left_out.add(SAME_FILE, image.name)
                continue
            seen.add(image.real)
            self.entries.append(Entry(image=image, part=part, class_name=name))

    def layout(
        self, described: Mapping[str, object], text: str, *, inside: Collection[str] = (".",)
    ) -> Layout:
        """Returns what was taken, and leaves out all other images, which lie in no class folder.

        Args:
            described: For the manifest: the folders of the parts, or of the classes.
            text: The same for people.
            inside: Folders outside of which images are left out for another reason.

        Raises:
            DataIntegrityError: If train has fewer than two classes, or lacks one of another part.
        """
        in_train = {entry.class_name for entry in self.entries if entry.part == "train"}
        if len(in_train) < 2:
            raise DataIntegrityError(
                f"A classifier needs at least two classes: fetch.path must hold {EXPECTED}. "
                f"Received: {', '.join(in_train) or 'none'}. {TABLE}."
            )
        for entry in self.entries:
            if entry.class_name not in in_train:
                raise DataIntegrityError(
                    "Every class must be in train. "
                    f"Received: {entry.class_name} in {entry.part} only, such as "
                    f"{entry.image.name}. {EXPLICIT}."
                )
        left_out = self.tree.left_out
        settled = {entry.image.name for entry in self.entries}
        settled.update(left_out.names.get(SAME_FILE, ()))
        places = tuple("" if path == "." else f"{path}/" for path in inside)
        for image in self.tree.top.all_images():
            if image.name not in settled:
                is_inside = image.name.startswith(places)
                left_out.add(NO_CLASS if is_inside else OTHER_FOLDER, image.name)
        names = tuple(sorted(in_train))
        return Layout(
            entries=in_order(self.entries, names),
            class_names=names,
            left_out=left_out,
            described=described,
            text=text,
        )


def images_apart(folder: Folder, without: frozenset[str]) -> list[ImageFile]:
    """Returns the images below a folder that do not lie in one of other parts."""
    if folder.path in without:
        return []
    others = tuple(f"{path}/" for path in without if path.startswith(f"{folder.path}/"))
    return [image for image in folder.all_images() if not image.name.startswith(others)]
