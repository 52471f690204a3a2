"""Damage to files that commands read: bytes that flip or go missing, JSON values of another type or
size."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

ODD_VALUES = (None, True, "x", "", -1, 0, 0.5, 10**30, float("nan"), [], {}, [[]], ["x"], {"x": 1})
DEPTH = 100_000


def damaged_copy(source: Path, target: Path, damage: str, seed: int) -> None:
    """Copies a file or folder, and damages one file of the copy."""
    draw = random.Random(seed)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
        file = draw.choice(sorted(path for path in target.rglob("*") if path.is_file()))
    else:
        shutil.copyfile(source, target)
        file = target
    FILE_DAMAGES[damage](file, draw)


def empty(file: Path, draw: random.Random) -> None:
    file.write_bytes(b"")


def one_byte(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(1))


def half(file: Path, draw: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def last_byte_missing(file: Path, draw: random.Random) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def one_byte_more(file: Path, draw: random.Random) -> None:
    file.write_bytes(file.read_bytes() + draw.randbytes(1))


def flipped_bit(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def zeros(file: Path, draw: random.Random) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def noise(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(min(file.stat().st_size, 100_000)))


def missing(file: Path, draw: random.Random) -> None:
    file.unlink()


def a_folder_instead(file: Path, draw: random.Random) -> None:
    file.unlink()
    file.mkdir()


def a_link_to_nowhere(file: Path, draw: random.Random) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def junk_line(file: Path, draw: random.Random) -> None:
    line = draw.choice(
        [b"\xff\xfe\n", b"{}\n", b"null\n", b'{"env_steps": "x"}\n', b'{"env_steps": null}\n']
    )
    file.write_bytes(file.read_bytes() + line)


def deep_json(file: Path, draw: random.Random) -> None:
    file.write_text("[" * DEPTH + "]" * DEPTH)


def odd_value(file: Path, draw: random.Random) -> None:
    """One value of a JSON file is replaced; another file gets an odd value as its whole content."""
    try:
        content = json.loads(file.read_text())
    except (ValueError, UnicodeDecodeError):
        content = None
    places = list(_places(content))
    if places:
        container, key = draw.choice(places)
        container[key] = draw.choice(ODD_VALUES)
    else:
        content = draw.choice(ODD_VALUES)
    file.write_text(json.dumps(content))


def key_missing(file: Path, draw: random.Random) -> None:
    """One key of a JSON file is taken out; another file loses its middle byte."""
    try:
        content = json.loads(file.read_text())
    except (ValueError, UnicodeDecodeError):
        content = None
    places = list(_places(content))
    if places:
        container, key = draw.choice(places)
        del container[key]
        file.write_text(json.dumps(content))
    else:
        blob = file.read_bytes()
        middle = len(blob) // 2
        file.write_bytes(blob[:middle] + blob[middle + 1 :])


def _places(content: Any) -> Any:
    """Every (container, key) of nested dicts and lists."""
    keys = (
        content.keys()
        if isinstance(content, dict)
        else range(len(content))
        if isinstance(content, list)
        else ()
    )
    for key in list(keys):
        yield content, key
        yield from _places(content[key])


FILE_DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    damage.__name__: damage
    for damage in (
        empty,
        one_byte,
        half,
        last_byte_missing,
        one_byte_more,
        flipped_bit,
        zeros,
        noise,
        missing,
        a_folder_instead,
        a_link_to_nowhere,
        junk_line,
        deep_json,
        odd_value,
        key_missing,
    )
}
