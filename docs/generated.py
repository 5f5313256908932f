"""Pages of the site that are made when it is built; `mkdocs.yml` names this file under `hooks`.

The README becomes the home page, and what GitHub expects beside it become pages, with their links
as seen from docs/. The reference of `params.yaml` is made of that file, of the classes that check
it and of the table of hyperparameters, so that it cannot go stale.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from pipeline.commands.check import SECTIONS
from pipeline.config import Section, read_document
from pipeline.hyperparameter import Hyperparameter
from pipeline.search.distributions import Choice, FloatRange, IntRange
from pipeline.search.params import StudyParams
from pipeline.search.samplers import SAMPLERS
from pipeline.training.activations import ACTIVATIONS
from pipeline.training.hyperparameters import HYPERPARAMETERS
from pipeline.training.optimizers import OPTIMIZERS
from pipeline.training.schedules import SCHEDULES

ROOT = Path(__file__).parents[1]
# By their names in the site, which are those of docs/, too.
FROM_ROOT = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "license.txt": "LICENSE",
}
PARAMS_PAGE = "params.md"
DISTRIBUTIONS = (FloatRange, IntRange, Choice)
NAMED = {
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "search.sampler": SAMPLERS,
}
STUDY_KEYS = {
    "base": "a key of `embed.bases`, or `none`: a network on the pixels",
    "space": "by hyperparameter what is searched or fixed; the rest has its value in `defaults`",
    "enqueue": "configurations that are tried first, in this order; `cut` may be a role that the "
    "plan gives: `first`, `highest` or `lower`",
}
# By the function that reads a duration, whose type says seconds or none.
DURATIONS = {
    "duration_seconds": "a duration such as `90s`, `10m` or `2h`, or `none`",
    "auto_or_seconds": "`auto`, a duration such as `90s`, `10m` or `2h`, or `none`",
}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages; mkdocs calls it once it has found those of docs/."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Returns the text of each generated page by its name in docs/."""
    texts = {
        page: as_seen_from_docs((ROOT / file).read_text(encoding="utf-8"))
        for page, file in FROM_ROOT.items()
    }
    return {**texts, PARAMS_PAGE: params_page()}


def as_seen_from_docs(text: str) -> str:
    """Returns a page of the root with the addresses that its links have below docs/."""
    for page, file in FROM_ROOT.items():
        text = text.replace(f"]({file}", f"]({page}")
    return re.sub(r"(\]\(|src=\")docs/", r"\1", text)


def params_page() -> str:
    """Returns the reference of `params.yaml`, a heading a section, in the file's order."""
    document = read_document(ROOT / "params.yaml")
    comments = comments_of((ROOT / "params.yaml").read_text(encoding="utf-8"))
    parts = [
        "# Params reference",
        "Every key of `params.yaml`: what it is there, what it may be, and what it means. "
        "`python -m pipeline check` compares the file with the same table, and "
        "`python -m pipeline check --help` lists the hyperparameters in a terminal.",
    ]
    for name, value in document.items():
        parts.append(f"## {name}")
        if name in SECTIONS:
            parts += section(SECTIONS[name], name, value, comments)
        elif name == "defaults":
            parts += defaults(value)
        elif name == "studies":
            parts += studies()
        else:
            parts.append(table(("now", "meaning"), [(code(value), comments.get(name, ""))]))
    return "\n\n".join([*parts, *named()]) + "\n"


def comments_of(text: str) -> dict[str, str]:
    """Returns the comment beside each key of a YAML file by the key's dotted path.

    A comment goes on in the lines below it that hold nothing else and begin in the same column.
    """
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    column = -1
    for line in text.splitlines():
        bare = line.lstrip()
        if bare.startswith("#") and len(line) - len(bare) == column:
            found[".".join(name for _, name in path)] += f" {bare.lstrip('# ')}"
            continue
        column = -1
        key = re.match(r"( *)(\w+):(?: [^#]*?)?(?: +# *(.*))?$", line)
        if key is None:
            continue
        path = [(depth, name) for depth, name in path if depth < len(key[1])]
        path.append((len(key[1]), key[2]))
        if key[3]:
            found[".".join(name for _, name in path)] = key[3]
            column = line.index("#")
    return found


def section(
    model: type[Section], where: str, value: Mapping[str, Any], comments: Mapping[str, str]
) -> list[str]:
    """Returns what a section holds, and below it each section that is inside."""
    rows, inside = [], []
    schemas = model.model_json_schema()
    for name, field in model.model_fields.items():
        known = schemas["properties"][name]
        readers = [getattr(entry, "func", None) for entry in field.metadata]
        legal = next((DURATIONS[r.__name__] for r in readers if r and r.__name__ in DURATIONS), "")
        now = code(value[name]) if not isinstance(value[name], dict) else ""
        meaning = said(f"{where}.{name}", known, comments)
        rows.append((code(name), now, legal or written(known, schemas), meaning))
        inside += references(f"{where}.{name}", known)
    parts = [first_line(model), table(("key", "now", "legal", "meaning"), rows)]
    for path, reference in inside:
        parts += inner_section(path, reference, schemas, comments)
    return parts


def inner_section(
    where: str, reference: str, schemas: Mapping[str, Any], comments: Mapping[str, str]
) -> Iterator[str]:
    """Yields a section that is inside of another, from its JSON schema."""
    schema = schemas["$defs"][reference.rpartition("/")[2]]
    fields = schema["properties"]
    # One of several kinds that are told apart by their names, such as pruners.
    kind = fields.get("name", {}).get("const")
    yield f"### {where}" + (f": {kind}" if kind else "")
    yield schema.get("description", "").partition("\n")[0]
    rows = [
        (code(name), written(known, schemas), said(f"{where}.{name}", known, comments))
        for name, known in fields.items()
    ]
    yield table(("key", "legal", "meaning"), rows)
    for name, known in fields.items():
        for path, found in references(f"{where}.{name}", known):
            yield from inner_section(path, found, schemas, comments)


def references(where: str, schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the sections that may stand at a key, each with its path and its name."""
    options = [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]
    found = [(where, option["$ref"]) for option in options if "$ref" in option]
    entries = schema.get("additionalProperties")
    if isinstance(entries, dict) and "$ref" in entries:
        found.append((f"{where}.NAME", entries["$ref"]))
    return found


def said(where: str, schema: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """Returns what a key means: the longer of its comment and its description says more."""
    return max(comments.get(where, ""), schema.get("description", ""), key=len)


def written(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """Returns what may be written where a JSON schema holds, in words."""
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return ", ".join(dict.fromkeys(written(option, schemas) for option in options))
    if "$ref" in schema:
        return "a section (below)"
    if "const" in schema or "enum" in schema:
        return ", ".join(map(code, schema.get("enum", [schema.get("const")])))
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return {"integer": "int", "number": "float"}[kind] + interval(schema)
    if kind == "array":
        items = schema.get("items") or {}
        of_what = "" if items.get("type") == "object" else written(items, schemas)
        return "a list" + (f" of {of_what}" if of_what else "")
    words = {
        "string": "text",
        "boolean": "`true`, `false`",
        "null": "`null`",
        "object": "a mapping",
    }
    return words.get(kind or "", "")


def interval(schema: Mapping[str, Any]) -> str:
    """Returns the legal numbers as in ` in [0, 1)`, or nothing."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return ""
    left = "[" if "minimum" in schema else "("
    right = "]" if "maximum" in schema else ")"
    ends = ("-inf" if low is None else f"{low:g}", "inf" if high is None else f"{high:g}")
    return f" in {left}{ends[0]}, {ends[1]}{right}"


def defaults(values: Mapping[str, Any]) -> list[str]:
    """Returns the table of hyperparameters."""
    rows = [
        (code(name), code(values[name]), legal_values(spec), condition(spec), spec.help)
        for name, spec in HYPERPARAMETERS.items()
    ]
    return [
        "Every hyperparameter of a trial, with the value that it has where a study's `space` does "
        "not name it. One that a choice switches off is ignored.",
        table(("hyperparameter", "now", "legal", "only where", "meaning"), rows),
    ]


def legal_values(spec: Hyperparameter) -> str:
    """Returns the values that a hyperparameter may have."""
    numbers = [] if spec.low is None else [f"{spec.kind} in {spec.interval}"]
    choices = [code(choice) for choice in spec.choices]
    return ", ".join([*numbers, *choices]) or "a name"


def condition(spec: Hyperparameter) -> str:
    """Returns where a hyperparameter exists; empty: always."""
    return ", ".join(
        f"{code(name)} is {one_of(values)}" for name, values in spec.active_when.items()
    )


def one_of(values: Set[Any]) -> str:
    """Returns alternatives in words; more than two numbers by their ends."""
    ordered = [code(value) for value in sorted(values, key=str)]
    if len(ordered) > 2 and all(type(value) is int for value in values):
        return f"{ordered[0]} to {ordered[-1]}"
    return " or ".join(ordered)


def studies() -> Iterator[str]:
    """Yields what a study is made of, and what its space may say of a hyperparameter."""
    yield "Each entry is a study: searched, confirmed and evaluated by itself."
    rows = [(code(name), STUDY_KEYS[name]) for name in StudyParams.model_fields]
    yield table(("key", "meaning"), rows)
    yield "### studies.NAME.space"
    yield "A hyperparameter has there a value, which fixes it, or one of these:"
    for model in DISTRIBUTIONS:
        schemas = model.model_json_schema()
        rows = [
            (code(name), written(known, schemas)) for name, known in schemas["properties"].items()
        ]
        yield f"**{rows[0][1]}**: {first_line(model)}"
        yield table(("key", "legal"), rows)


def named() -> Iterator[str]:
    """Yields what the names stand for that components are asked for by."""
    yield "## What the names stand for"
    for key, registry in NAMED.items():
        yield f"### {key}"
        yield table(
            ("name", "what it is"),
            [(code(name), first_line(registry.get(name))) for name in registry],
        )


def first_line(component: Any) -> str:
    """Returns the first line of a docstring."""
    return (component.__doc__ or "").strip().partition("\n")[0]


def code(value: object) -> str:
    """Returns a value as it is written in YAML, as code."""
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    is_word = value is None or isinstance(value, bool)
    return f"`{json.dumps(value) if is_word else value}`"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a Markdown table."""
    lines = [list(heads), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
