"""Labels in a table, as people write them; and what no single-label classifier can use."""

import pytest
from PIL import Image

from pipeline.data.fetch_params import LabelsParams
from pipeline.errors import ConfigError, PipelineError
from tests.data.readers.section import find_images, read_folder

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def root(tmp_path):
    """Four images in one folder; tests write the table."""
    (tmp_path / "images").mkdir()
    for name in NAMES:
        Image.new("L", (9, 9)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def classes(root, text, *, file="labels.csv", encoding="utf-8", **columns):
    """What each image's class is, in order of the images' names."""
    (root / file).write_text(text, encoding=encoding)
    found = find_images(root, labels=LabelsParams(file=file, **columns))
    pairs = {entry.image.name: entry.class_name for entry in found.entries}
    return [pairs.get(f"images/{name}.png") for name in NAMES], found.class_names


@pytest.mark.parametrize(
    "text",
    [
        "filename,label\na.png,x\nb.png,y\nc.png,x\nd.png,y\n",
        "\ufeffimage_id;Breed\r\na;x\r\nb;y\r\nc;x\r\nd;y\r\n",
        "id\tclass\nimages/a.png\tx\nimages/b.png\ty\nimages/c.png\tx\n\nimages/d.png\ty\n",
        '"Image Name","Target","note"\n"a","x","1, 2"\nb,y,\nc,x,\nd,y,\n',
        ",id,path,species\n0,9,./images\\a.png,x\n1,8,images/b.png,y\n2,7,c,x\n3,6,d,y\n",
        "image,x,y\na,1,0\nb,0,1\nc,1.0,0.0\nd,0,1\n",
    ],
    ids=["plain", "semicolons", "tabs", "quoted", "index", "one-hot"],
)
def test_tables_as_people_write_them(root, text):
    assert classes(root, text) == (["x", "y", "x", "y"], ("x", "y"))


@pytest.mark.parametrize("folder", ["/home/me/data/images/", "../input/images/", "C:\\mine\\"])
def test_folders_of_another_machine_are_left_out_where_all_rows_share_them(root, folder):
    text = f"image,label\n{folder}a.png,x\n{folder}b.png,y\n{folder}c.png,x\n{folder}d.png,y\n"
    assert classes(root, text)[0] == ["x", "y", "x", "y"]


def test_a_column_that_names_some_images_is_not_passed_over_for_row_numbers(root):
    """One picture is missing; every number is the stem of some other image."""
    for name in ("0", "1", "2"):
        Image.new("L", (9, 9)).save(root / "images" / f"{name}.png")
    text = "id,filename,label\n0,a.png,x\n1,b.png,y\n2,gone.png,x\n"
    with pytest.raises(PipelineError, match=r"column 'filename'. .*1 of 3 rows without .*gone.png"):
        classes(root, text)


def test_two_columns_of_different_images_are_refused(root):
    for name in ("0", "1"):
        Image.new("L", (9, 9)).save(root / "images" / f"{name}.png")
    with pytest.raises(ConfigError, match="not the same ones: filename, id"):
        classes(root, "id,filename,label\n0,a.png,x\n1,b.png,y\n")


def test_a_column_of_no_parts_is_none(root):
    """HAM10000 tells by `dataset` where an image was published."""
    text = "image_id,dx,dataset,label\na,1,vidir,x\nb,1,rosendahl,y\nc,1,vidir,x\nd,1,vidir,y\n"
    assert classes(root, text)[0] == ["x", "y", "x", "y"]


def test_the_file_may_be_written_as_a_path(root):
    (root / "labels.csv").write_text("id,label\na,x\nb,y\n")
    assert len(find_images(root, labels="./labels.csv").entries) == 2


def test_an_empty_cell_as_programs_write_it_is_no_class(root):
    assert classes(root, "id,label\na,1\nb,2\nc,nan\nd,<NA>\n") == (
        ["1", "2", None, None],
        ("1", "2"),
    )


def test_an_accent_is_the_same_however_it_is_written(root):
    Image.new("L", (9, 9)).save(root / "images" / "e\u0301.png")
    _, names = classes(root, "id,label\na,caf\u00e9\nb,y\nc,cafe\u0301\n\u00e9,y\n")
    assert names == ("caf\u00e9", "y")


def test_columns_can_be_named(root):
    text = "Bild,Klasse,label\na.png,x,0\nb.png,y,0\nc.png,x,0\nd.png,y,0\n"
    assert classes(root, text, image="Bild", label="Klasse")[0] == ["x", "y", "x", "y"]
    with pytest.raises(ConfigError, match=r"fetch.labels.label must be a column .*'klasse'"):
        classes(root, text, image="Bild", label="klasse")


def test_numbers_are_names_in_the_order_of_numbers(root):
    assert classes(root, "id,label\na,10\nb,9\nc,10\nd,100\n")[1] == ("9", "10", "100")


def test_images_without_a_row_or_a_label_are_left_out_by_reason(root):
    (root / "labels.csv").write_text("id,label\na,x\nb,y\nc,\n")
    found = find_images(root, labels="labels.csv")
    assert found.left_out.counts() == {"no label in labels.csv": 1, "not in labels.csv": 1}


def test_the_table_is_among_the_files_and_the_parts_are_its_own(root):
    rows = "a,x,train\nb,y,TRAIN\nc,x,Validation\nd,y,test\n"
    (root / "labels.csv").write_text(f"id,label,split\n{rows}")
    data = read_folder(
        root,
        scratch=root.parent,
        image_size=8,
        color="auto",
        labels="labels.csv",
    )
    assert data.parts.tolist() == ["train", "train", "val", "test"]
    assert "labels.csv" in data.files
    assert data.layout["columns"] == {"image": "id", "label": "label", "part": "split"}


@pytest.mark.parametrize(("other", "part"), [("test", "val"), ("val", "test")])
def test_the_evaluation_part_is_the_one_that_there_is_not(root, other, part):
    (root / "labels.csv").write_text(f"id,label,set\na,x,train\nb,y,train\nc,x,{other}\nd,y,eval\n")
    found = find_images(root, labels="labels.csv")
    assert {e.image.name: e.part for e in found.entries}["images/d.png"] == part


def test_an_image_that_a_link_leads_to_as_well_is_used_once(root):
    (root / "images/e.png").symlink_to("a.png")
    (root / "labels.csv").write_text("id,label\na,x\nb,y\nc,x\nd,y\ne,x\n")
    found = find_images(root, labels="labels.csv")
    assert [e.image.name for e in found.entries].count("images/e.png") == 0
    assert len(found.entries) == 4
    assert sum(found.left_out.counts().values()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label\na,x\nb,y\ne,x\n", r"1 of 3 rows without an image: e"),
        (
            "id,label\na,x\na,y\n",
            r"one class.*images/a.png in labels.csv as 'x' in train and as 'y'",
        ),
        ("id,label\na,x\nb,y\nc,x y\nd,y\n", r"'x y' in labels.csv, which reads as several labels"),
        ("id,label\na,x|y\nb,y\n", r"'x\|y' in labels.csv"),
        ("id,label\na,\"['x', 'y']\"\nb,y\n", r"\['x', 'y'\].* reads as several"),
        ("id,x,y\na,1,1\nb,0,1\n", r"2 columns of labels.csv that are 1 in row 1"),
        ("id,label,class\na,x,1\nb,y,2\n", r"several columns that may be the label: label, class"),
        ("Bild,label\na,x\n", r"must have a column of image names.*image: COLUMN"),
        ("id,Klasse\na,x\n", r"must have a column of labels.*label: COLUMN"),
        ("id,label\na,x,1\n", r"2 cells in every line.*3 in line 2"),
        ("id,label\na,\nb,\n", r"two classes or more.* none in train, none elsewhere"),
        ("id,label,set\na,x,train\nb,y,train\nc,z,val\n", r"x, y in train, z elsewhere only"),
        ("id,label\n", r"a line for each image. Received: 1 lines"),
        (
            "id,label,split\na,x,train\nb,y,fold7\n",
            r"must say train, val, confirmation or test. .*'fold7'",
        ),
        ("id,label,split\na,x,fold1\nb,y,fold2\n", r"must say train, val, .* 'fold1', 'fold2'"),
        ("id,label\ntrain/a.png,x\ntrain/b.png,y\n", r"2 of 2 rows without an image: train/a.png"),
        ("id,label,split\na,x,train\nb,y,bullet train\n", r"must say train.* 'bullet train'"),
        ('id,label\na,"x\n', r"must be a table. Received: line"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(root, text, message):
    with pytest.raises(PipelineError, match=message) as caught:
        classes(root, text)
    assert "\n" not in str(caught.value)


def test_a_name_of_two_images_is_refused_with_both(root):
    (root / "more").mkdir()
    Image.new("L", (9, 9)).save(root / "more" / "a.png")
    with pytest.raises(PipelineError, match=r"several, such as 'a': images/a.png, more/a.png"):
        classes(root, "id,label\na,x\nb,y\n")


def test_a_file_that_is_not_there_names_the_tables_that_are(root):
    (root / "train.tsv").write_text("")
    with pytest.raises(ConfigError, match=r"'labels.csv', which is not there. Tables.*: train.tsv"):
        find_images(root, labels="labels.csv")


def test_a_table_that_is_not_utf_8_is_refused(root):
    with pytest.raises(PipelineError, match="must be UTF-8 text"):
        classes(root, "id,label\na,café\nb,y\n", encoding="cp1252")


def test_class_names_of_two_words_are_no_two_labels(root):
    text = "id,label\na,red apple\nb,red car\nc,green apple\nd,green car\n"
    assert classes(root, text)[1] == ("green apple", "green car", "red apple", "red car")
