"""What starting costs, and what is never imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "timm", "matplotlib", "rasterio", "fastapi")


def modules_after(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has after running some code."""
    whole = f"{code}\nimport sys\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_import_terrahash_imports_nothing_heavy() -> None:
    loaded = modules_after("import terrahash")
    assert not loaded & {*HEAVY, "numba", "onnxruntime", "PIL", "numpy", "typer", "rich"}


def test_indexing_and_searching_never_import_torch(
    tiles: Path, model: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.terrahash"
    query = next(tiles.rglob("*.png"))
    commands = [
        ["index", str(tiles), "--model", str(model), "--archive", str(archive)],
        ["search", str(query), "--archive", str(archive), "--json"],
    ]
    for command in commands:
        loaded = modules_after(
            "import sys\nfrom terrahash.cli import main\n"
            f"sys.argv = ['terrahash', *{command!r}]\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        )
        assert "onnxruntime" in loaded
        assert not loaded & set(HEAVY)


def test_searching_a_small_archive_needs_no_compiler(
    tiles: Path, model: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.terrahash"
    loaded = modules_after(
        "from terrahash import open_archive\n"
        "from terrahash.archive.indexing import index_images\n"
        f"with open_archive({str(archive)!r}, {str(model)!r}) as opened:\n"
        f"    index_images(opened, [{str(tiles)!r}])\n"
        f"    opened.search({str(next(tiles.rglob('*.png')))!r})\n"
    )
    assert "numba" not in loaded


@pytest.mark.parametrize(
    "command", [[], ["train"], ["evaluate"], ["index"], ["search"], ["demo"], ["data"], ["archive"]]
)
def test_help_is_there(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "terrahash", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage" in done.stdout
    assert len(done.stdout.splitlines()) > 8


def test_version() -> None:
    from terrahash import __version__

    done = subprocess.run(
        [sys.executable, "-m", "terrahash", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"terrahash {__version__}"


@pytest.mark.parametrize("command", [["train", "scenes", "--out", "m"], ["demo", "--out", "d"]])
def test_training_without_torch_says_what_to_install(command: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom terrahash.cli import main\n"
        f"sys.argv = ['terrahash', *{command!r}]\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "pip install 'terrahash[train]'" in done.stderr
    assert "Traceback" not in done.stderr
