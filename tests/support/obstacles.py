"""What others may have put in the place of a file in the state directory."""

import os
from collections.abc import Callable
from pathlib import Path


def _link_to_a_file(path: Path) -> None:
    target = path.with_name("somebody-elses")
    target.write_text("untouched")
    path.symlink_to(target)


def _second_name_of_a_file(path: Path) -> None:
    _link_to_a_file(path)
    path.unlink()
    path.hardlink_to(path.with_name("somebody-elses"))


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "a directory": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to a file": _link_to_a_file,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a second name of another file": _second_name_of_a_file,
}


def remove_obstacle(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    else:
        path.rmdir()


def others_in(path: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of the last change of whatever is beside a file."""
    beside = [each for each in path.parent.iterdir() if each != path]
    return {each.name: (each.lstat().st_size, each.lstat().st_mtime_ns) for each in beside}
