"""The page about the architecture: what it names is there, and what is there it names."""

from __future__ import annotations

import ast
import re

from support.house import MODULES, PACKAGE, ROOMS, tree_of

PAGE = (PACKAGE.parent / "docs" / "architecture.md").read_text("utf-8")
PICTURE = PAGE.partition("```\n")[2].partition("```")[0]


def rooms_of_the_picture() -> list[str]:
    """Return the rooms in the picture, from the bottom up."""
    rooms = []
    for line in PICTURE.splitlines():
        first, second = (*line.split(), "")[:2]
        if not line.startswith(" "):
            rooms.append(first)
            # A second room in the line stands beside a file, or beside the folder of names; in a folder it is a file.
            holds_files = first.startswith("_") and first.endswith("/")
            rooms += [second] if second.endswith(".py") and not holds_files else []
    rooms = [room.removesuffix("/").removesuffix(".py") for room in rooms]
    return rooms[::-1]


def test_picture_has_every_room_in_its_order() -> None:
    """The rooms of the picture are those of the test of layers, in that order, but for pairs on one line."""
    drawn = rooms_of_the_picture()
    assert sorted(drawn) == sorted(ROOMS)
    same_line = {"_version": "_conflicts", "instruction_file_config": "materials"}
    order = [same_line.get(room, room) for room in ROOMS]
    assert [same_line.get(room, room) for room in drawn] == order


def test_picture_names_every_file() -> None:
    """Each module is in the picture, in its folder, and nothing else."""
    folder, drawn = "", set()
    for line in PICTURE.splitlines():
        start = re.match(r"(\w+)/", line)
        folder = start[1] if start else folder if line.startswith(" ") else ""
        files = re.findall(r"(?<![\w/])(\w+)\.py", line)
        drawn |= {f"{folder}.{name}" if folder and folder != "materials" else name for name in files}
    assert drawn == {module for module in MODULES if not module.startswith("materials.") and "." not in module} | {
        module for module in MODULES if module.startswith("_") and not module.endswith("__init__") and "." in module
    }


def test_names_in_the_text_are_those_of_the_code() -> None:
    """Functions, classes and paths that the page names exist."""
    text = PAGE.replace(PICTURE, "")
    paths = set(re.findall(r"`((?:_\w+/)\w+\.py|\w+\.py)`", text))
    assert paths
    assert all((PACKAGE / path).is_file() for path in paths)
    defined = {
        node.name
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    named = set(re.findall(r"`(?:\w+\.)?([A-Z]\w+|_?[a-z]+_\w+)`", text))
    others = {"instruction_file_config", "buffer_size"}
    assert {"put_object", "ExpectedRequest", "ObjectSealer", "decrypt_data_key"} <= named
    assert named - defined - others == set()
