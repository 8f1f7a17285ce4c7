"""What the documentation promises: links lead somewhere, commands parse, Python blocks run."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from tests.conftest import pattern

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]*)(#[^)\s]*)?\)")
RUN = ("evaluation", "datasets", "encoder", "search", "archive")
# What a page writes for whatever comes next.
ELLIPSES = ("…", "...")


def blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's fenced blocks."""
    return [text for found, text in BLOCK.findall(page.read_text("utf-8")) if found == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every ``terrahash`` line of a page that names all it needs."""
    for text in blocks(page, ""):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words[:1] == ["terrahash"] and not set(words) & {*ELLIPSES, "|"}:
                yield words[1:]


def anchors(page: Path) -> set[str]:
    """Where links into a page may lead, as GitHub names headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", each) for each in headings)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in plain}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_pictures_are_there(page: Path) -> None:
    text = BLOCK.sub("", page.read_text("utf-8"))
    for target, anchor in LINK.findall(text):
        if "://" in target:
            continue
        place = page.parent / target if target else page
        assert place.exists(), target
        if anchor:
            assert anchor[1:] in anchors(place), target + anchor


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_are_understood(page: Path, tmp_path: Path) -> None:
    from terrahash.cli.main import app

    root = typer.main.get_command(app)
    for words in commands(page):
        parse(root, words)


def parse(root: Any, words: list[str]) -> None:
    """Parse a command line as the shell's would be, without running it."""
    group, name, rest = root, "terrahash", words
    while hasattr(group, "commands"):
        assert rest, f"{name} without a command"
        assert rest[0] in group.commands or rest[0].startswith("--"), f"{name} {rest[0]}"
        if rest[0] not in group.commands:
            break
        name, group, rest = rest[0], group.commands[rest[0]], rest[1:]
    if "--help" not in rest and "--version" not in rest:
        group.make_context(name, list(rest))


def test_examples_in_help_are_understood() -> None:
    from terrahash.cli.main import app

    root = typer.main.get_command(app)
    examples = [command.epilog for command in root.commands.values() if command.epilog]  # type: ignore[attr-defined]
    assert len(examples) >= 8
    for example in examples:
        words = shlex.split(example.removeprefix("Example: "))
        parse(root, words[1:])


@pytest.fixture
def place(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the Python blocks name; UC Merced in small."""
    from terrahash.datasets import KNOWN

    known = KNOWN["ucmerced"]
    for number, name in enumerate(known.classes):
        folder = tmp_path / "data" / known.folders[0] / name
        folder.mkdir(parents=True)
        for seed in range(5):
            pixels = pattern(number % 4, 10 * number + seed)
            Image.fromarray(pixels).save(folder / f"{name}{seed:02d}.png")
    shutil.copytree(tmp_path / "data" / known.folders[0], tmp_path / "tiles")
    for name in ("query.tif", "a.tif", "b.tif"):
        Image.fromarray(pattern(0, 3)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TERRAHASH_WEIGHTS", str(weights.parent))
    return tmp_path


def test_python_blocks_run(place: Path) -> None:
    """Page after page in one session, as somebody who tries them would; small in place of large."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (60, 8), np.uint8)
    labels = rng.integers(0, 4, 60)
    session: dict[str, Any] = {}

    def run(name: str, **names: Any) -> None:
        session.update(names)
        for text in blocks(ROOT / name, "python"):
            small = text.replace("per_class=500", "per_class=1").replace("4711", "7")
            exec(compile(small, name, "exec"), session)  # noqa: S102 (our own documentation)

    run("README.md")
    session["archive"].close()
    shutil.copytree("models/uc", "models/ucmerced-dhcl-64")
    run(
        "docs/evaluation.md",
        codes=codes, labels=labels, query_codes=codes[:9], query_labels=labels[:9],
        gallery_codes=codes[9:], gallery_labels=labels[9:],
        magnitudes=rng.random((60, 64), np.float32),
    )  # fmt: skip
    run("docs/datasets.md")
    run("docs/encoder.md")
    run("docs/search.md", query=codes[:1])
    names = [f"{number}.tif" for number in range(60)]
    run("docs/archive.md", paths=names, labels=[str(label) for label in labels])
    assert session["report"].map_at_k > 0
    assert len(session["hits"]) > 0


def test_python_blocks_are_all_known() -> None:
    """A page whose blocks nobody runs would go stale; the service's need one that runs."""
    pages = {name for name, page in zip(NAMES, PAGES, strict=True) if blocks(page, "python")}
    run = {"README.md", *(f"docs/{name}.md" for name in RUN)}
    assert pages == run | {"docs/service.md"}
