"""What can happen to a state directory. Each attack can be made again where it was made before."""

import contextlib
import hashlib
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.stress.mounts import Mount

FILES = re.compile(r"figures-[0-9a-f]+\.json|machine|pace")


def _nothing(_: Mount) -> None:
    pass


@dataclass(frozen=True)
class Attack:
    """One thing that happens to the directory `state` of a mount."""

    make: Callable[[Mount], None]
    heal: Callable[[Mount], None] = _nothing
    is_trouble: bool = True
    """Whether the directory cannot be written until it is healed."""


def _paths(mount: Mount) -> list[Path]:
    return sorted(path for path in (mount.path / "state").iterdir() if FILES.fullmatch(path.name))


def _files(mount: Mount) -> Iterator[Path]:
    """Give the paths of the exporter's files, with whatever was there out of the way."""
    for path in _paths(mount):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        yield path


def _clear(mount: Mount) -> None:
    for _ in _files(mount):
        pass


def _fill(mount: Mount) -> None:
    with (mount.path / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


def _empty(mount: Mount) -> None:
    (mount.path / "filler").unlink()


def _use_up_inodes(mount: Mount) -> None:
    (mount.path / "many").mkdir(exist_ok=True)
    with contextlib.suppress(OSError):
        for number in range(1000):
            (mount.path / "many" / str(number)).touch()


def _free_inodes(mount: Mount) -> None:
    shutil.rmtree(mount.path / "many")


def _move(mount: Mount) -> None:
    shutil.rmtree(mount.path / "elsewhere", ignore_errors=True)
    (mount.path / "state").rename(mount.path / "elsewhere")


def _put_a_file_in_its_place(mount: Mount) -> None:
    if (mount.path / "state").is_dir():
        _move(mount)
        (mount.path / "state").write_text("in the way")


def _put_it_back(mount: Mount) -> None:
    (mount.path / "state").unlink()
    (mount.path / "elsewhere").rename(mount.path / "state")


def _unmount(mount: Mount) -> None:
    if os.path.ismount(mount.path):
        mount.run("umount", "--lazy")


def _overwrite(*contents: bytes) -> Callable[[Mount], None]:
    def make(mount: Mount) -> None:
        for path, content in zip(_files(mount), contents, strict=True):
            path.write_bytes(content)

    return make


def _put(what: Callable[[Path], object]) -> Callable[[Mount], None]:
    def make(mount: Mount) -> None:
        for path in _files(mount):
            what(path)

    return make


def _chmod(mode: int) -> Callable[[Mount], None]:
    return lambda mount: (mount.path / "state").chmod(mode)


def _chmod_files(mode: int) -> Callable[[Mount], None]:
    def change(mount: Mount) -> None:
        for path in _paths(mount):
            path.chmod(mode)

    return change


def _newer_versions() -> tuple[bytes, bytes, bytes]:
    figures = b'{"version":3,"months":[]}'
    limiter = b"pace-2 another-boot 000000000000.000000 and more"
    return (
        figures + b"\n" + hashlib.sha256(figures).hexdigest().encode() + b"\n",
        b"another-boot another-host and more\n",
        limiter + f" {zlib.crc32(limiter):08x}\n".encode(),
    )


ATTACKS = {
    "full": Attack(_fill, _empty),
    "no inodes left": Attack(_use_up_inodes, _free_inodes),
    "read-only": Attack(
        lambda mount: mount.run("mount", "-o", "remount,bind,ro"),
        lambda mount: mount.run("mount", "-o", "remount,bind,rw"),
    ),
    "removed": Attack(lambda mount: shutil.rmtree(mount.path / "state"), is_trouble=False),
    "moved away": Attack(_move, is_trouble=False),
    "unmounted": Attack(_unmount, is_trouble=False),
    "replaced by a file": Attack(_put_a_file_in_its_place, _put_it_back),
    "closed": Attack(_chmod(0), _chmod(0o700)),
    "files damaged": Attack(_overwrite(os.urandom(700), os.urandom(60), os.urandom(80)), is_trouble=False),
    "files emptied": Attack(_overwrite(b"", b"", b""), is_trouble=False),
    "files of a newer version": Attack(_overwrite(*_newer_versions()), is_trouble=False),
    "files unreadable": Attack(_chmod_files(0), _chmod_files(0o600)),
    "directories for files": Attack(_put(Path.mkdir), _clear),
    "pipes for files": Attack(_put(os.mkfifo), _clear),
    "symbolic links that go in circles for files": Attack(
        _put(lambda path: path.symlink_to(path.name)), _clear
    ),
    "symbolic links to a device for files": Attack(_put(lambda path: path.symlink_to("/dev/zero")), _clear),
}
