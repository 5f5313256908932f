"""What README and docs/ name exists, and what a user copies from them is what the project has."""

import importlib.util
import re
from pathlib import Path

import pytest

from pipeline.__main__ import COMMANDS, STAGES
from pipeline.config import read_document
from pipeline.lectures.demonstrations import DEMONSTRATIONS
from pipeline.training.hyperparameters import HYPERPARAMETERS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FILES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PAGES = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
SITE = read_document(ROOT / "mkdocs.yml")
PARAMS = read_document(ROOT / "params.yaml")
# Of commands that say which commit's params.yaml they are for.
FORMER_KEYS = {"embed.bases.efficientnet_lite0.image_size"}
# Of the checkout's data/, where pipeline/data/ is meant by the same short form.
DATA = r"data/(raw|cache|features|own|flowers|\w+\.)"
ROOMS = (
    *("data", "bases", "features", "evaluation", "training", "trials", "planning", "search"),
    *("records", "studies", "report", "lectures", "stages", "commands"),
)


def load_generated():
    """docs/generated.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("generated", ROOT / "docs/generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generated = load_generated()


def code_in(text):
    """All that a page shows as code: blocks, and words within lines."""
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    lines = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    .*$", lines, re.MULTILINE)
    return "\n".join([*blocks, *indented, *re.findall(r"`([^`]+)`", lines)])


def named(pattern, texts=None):
    """What a pattern finds, each with a page that has it."""
    texts = texts or PAGES
    return sorted({(name, page) for page, text in texts.items() for name in pattern.findall(text)})


CODE = {page: code_in(text) for page, text in PAGES.items()}


def tree_files():
    """Paths of the README's file tree, from its indentation."""
    block = PAGES["README.md"].split("## Files")[1].split("```")[1]
    folders = []
    for line in block.strip("\n").splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders = folders[:depth]
        if name.endswith("/") and depth + 1 > len(folders):
            folders.append(name)
            yield "".join(folders)
        else:
            yield "".join([*folders, name])


@pytest.mark.parametrize("name", sorted(set(tree_files())))
def test_every_path_of_the_file_tree_exists(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize(("name", "page"), named(re.compile(r"python -m pipeline\s+([a-z]+)")))
def test_every_command_exists(name, page):
    assert name in {*STAGES, *COMMANDS}


@pytest.mark.parametrize(("name", "page"), named(re.compile(r"python -m benchmarks\.([a-z]\w+)")))
def test_every_benchmark_exists(name, page):
    assert (ROOT / f"benchmarks/{name}.py").is_file()


@pytest.mark.parametrize(("key", "page"), named(re.compile(r"-S ([\w.]+)=")))
def test_every_key_that_a_command_sets_exists(key, page):
    if key in FORMER_KEYS:
        assert page == "docs/transfer.md"
        return
    value = PARAMS
    for part in key.split("."):
        # DVC counts the entries of a list.
        name = int(part) if isinstance(value, list) else part
        assert name in (range(len(value)) if isinstance(value, list) else value)
        value = value[name]


@pytest.mark.parametrize(("target", "page"), named(re.compile(r"\bmake ([a-z][\w-]*)"), CODE))
def test_every_make_target_exists(target, page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize(
    ("file", "page"), named(re.compile(r"`((?:tests|testing|benchmarks|docs)/[\w/.]+)`"))
)
def test_every_file_that_is_named_exists(file, page):
    assert (ROOT / file).exists()


def test_every_heading_of_the_lectures_says_where_it_is_seen():
    table = PAGES["docs/lectures.md"].split("## Topics")[1].split("\n## ")[0]
    rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("| ")][1:]
    assert {len(row) for row in rows} == {6}
    assert all(cell.strip() for row in rows for cell in row[1:])
    shown = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[-1])}
    assert shown == DEMONSTRATIONS.keys()


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_named_exists(page):
    names = re.findall(rf"`(?:pipeline/)?((?:{'|'.join(ROOMS)})/[\w/.]+)`", PAGES[page])
    modules = {name for name in names if not re.match(DATA, name)}
    assert [name for name in sorted(modules) if not is_module(name)] == []


def is_module(name):
    """Whether there is such a module or package below pipeline/."""
    path = ROOT / "pipeline" / name
    return path.is_dir() or path.with_suffix(".py").is_file()


def anchors(text):
    """Addresses of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("link", "page"), named(re.compile(r"\]\(([^)]+)\)")))
def test_every_link_leads_somewhere(link, page):
    if link.startswith("https://"):
        return
    address, _, anchor = link.partition("#")
    file = (ROOT / page).parent / address if address else ROOT / page
    assert file.exists()
    assert not anchor or anchor in anchors(file.read_text(encoding="utf-8"))


def test_the_readme_is_short():
    assert README.stat().st_size < 15_000


def entries(nav):
    """The pages that a navigation leads to."""
    for entry in nav:
        for title, target in entry.items():
            yield from entries(target) if isinstance(target, list) else [(target, title)]


def test_the_site_leads_to_every_page_once():
    in_docs = {Path(page).name for page in PAGES if page.startswith("docs/")}
    made = {name for name in generated.pages() if name.endswith(".md")}
    assert sorted(name for name, _ in entries(SITE["nav"])) == sorted(in_docs | made)


def test_the_site_is_built_strictly_and_asks_for_no_fonts():
    assert SITE["theme"]["font"] is False
    assert SITE["strict"] is True


class TestParamsPage:
    page = generated.params_page()

    @pytest.mark.parametrize("name", HYPERPARAMETERS)
    def test_names_every_hyperparameter_with_its_meaning(self, name):
        (row,) = re.findall(rf"^\| `{name}` \|.*$", self.section("defaults"), re.MULTILINE)
        assert row.endswith(f"| {HYPERPARAMETERS[name].help} |")

    @pytest.mark.parametrize("section", PARAMS)
    def test_names_every_section_and_its_keys(self, section):
        keys = {} if section == "studies" else PARAMS[section]
        text = self.section(section)
        for key in keys if isinstance(keys, dict) else {}:
            assert f"\n| `{key}` |" in text

    @pytest.mark.parametrize(
        "row",
        [
            "| `seed` | `42` | int in [0, inf) | of every draw |",
            "| `max_shift` | float in (0, 0.5] | largest, share of height and of width |",
            "| `duplicates` | `reuse` | `reuse`, `replicate` "
            "| a configuration that was tried: reuse its value, where it is of the same code of "
            "training, or replicate: new seed |",
            "| `tanh` | Hyperbolic tangent: f(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x)). |",
        ],
    )
    def test_says_what_is_legal_and_what_it_means(self, row):
        assert f"\n{row}\n" in self.page

    def test_leaves_no_meaning_empty(self):
        lines = self.page.splitlines()
        assert [line for line in lines if line.startswith("|") and line.endswith("|  |")] == []

    def test_a_condition_is_said_in_words(self):
        assert "| `optimizer` is `momentum` or `nesterov` |" in self.page
        assert "| `num_layers` is `1` to `5` |" in self.page

    def test_a_duration_is_no_number(self):
        (row,) = re.findall(r"^\| `trial_timeout` \|.*$", self.page, re.MULTILINE)
        assert "| `none` | a duration such as `90s`, `10m` or `2h`, or `none` |" in row

        (row,) = re.findall(r"^\| `time` \|.*$", self.page, re.MULTILINE)
        assert "| `auto` | `auto`, a duration such as `90s`, `10m` or `2h`, or `none` |" in row

    def section(self, name):
        return self.page.split(f"\n## {name}\n")[1].split("\n## ")[0]


def test_a_comment_goes_on_below_itself():
    text = "a:  # one\n  b: 1  # two\n        # three\n  # of its own\n  c: '#'\nd: {e: 1}  # four"
    assert generated.comments_of(text) == {"a": "one", "a.b": "two three", "d": "four"}


def test_the_home_page_has_the_links_of_docs():
    text = "[a](docs/a.md#b) ![c](docs/c.png) [d](CONTRIBUTING.md) [e](LICENSE)"
    expected = "[a](a.md#b) ![c](c.png) [d](contributing.md) [e](license.txt)"
    assert generated.as_seen_from_docs(text) == expected
