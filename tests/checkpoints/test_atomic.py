"""Atomic files and folders: killed at every step, full disks, several writers at once."""

import errno
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bertworks.checkpoints import atomic_folder, atomic_write, recover
from bertworks.checkpoints.atomic import atomic_file
from bertworks.checkpoints.leftovers import leftovers, sibling
from bertworks.errors import CheckpointError

KILLER = '''
"""Runs saves in child processes that die before their n-th change of the disk, for every n."""
import os, sys
from pathlib import Path
from bertworks.checkpoints import atomic_folder, atomic_write, recover

def die_before(step):
    """The process ends before the call number `step` of anything that changes the disk."""
    count = 0
    def counted(function):
        def call(*arguments, **options):
            nonlocal count
            if count == step:
                os._exit(9)
            count += 1
            return function(*arguments, **options)
        return call
    for name in ("rename", "replace", "fsync", "mkdir", "unlink", "rmdir", "write"):
        setattr(os, name, counted(getattr(os, name)))

os.fsync = lambda handle: None  # a killed process loses nothing that was not flushed; only a power cut does

def child(step, work):
    pid = os.fork()
    if pid == 0:
        try:
            die_before(step)
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9), code
    return code == 9

def fill(folder, text):
    (folder / "deep").mkdir()
    for name in ("a", "deep/b"):
        with open(folder / name, "w") as stream:
            stream.write(text)
            stream.flush()
            os.write(stream.fileno(), b"!")

def save(path, text, replace=True):
    with atomic_folder(path, replace=replace) as folder:
        fill(folder, text)

home, mode = Path(sys.argv[1]), sys.argv[2]
step = 0
while True:
    path = home / f"{step:03d}" / "model"
    path.parent.mkdir(parents=True)
    if mode == "file":
        path.write_bytes(b"old")
        died = child(step, lambda: atomic_write(path, b"new"))
    elif mode == "new":
        died = child(step, lambda: save(path, "new", replace=False))
    elif mode == "replace":
        save(path, "old")
        died = child(step, lambda: save(path, "new"))
    else:  # die in the middle of the recovery of a death at the worst moment, the gap between the two renames
        complete, old = path.with_name(".model.new-%d-" + sys.argv[3]), path.with_name(".model.old-%d-" + sys.argv[3])
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        for name, text in ((complete, "new"), (old, "old")):
            Path(str(name) % pid).mkdir()
            fill(Path(str(name) % pid), text)
        died = child(step, lambda: recover(path))
    if not died:
        break
    step += 1
print(step)
'''


def contents(path: Path) -> str:
    first, second = (path / "a").read_text(), (path / "deep" / "b").read_text()
    assert first == second
    return first


def killed(tmp_path: Path, mode: str) -> list[Path]:
    token = sibling(tmp_path / "x", "tmp").name.rsplit("-", 1)[1]
    run = subprocess.run([sys.executable, "-c", KILLER, str(tmp_path), mode, token], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 2
    return [folder / "model" for folder in sorted(tmp_path.iterdir())]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestKill:
    def test_replacing_a_folder_never_loses_it(self, tmp_path: Path) -> None:
        paths = killed(tmp_path, "replace")
        gaps = 0
        for path in paths:
            absent = not path.exists()
            gaps += absent
            assert recover(path) == absent
            assert contents(path) in ("old!", "new!")
            assert os.listdir(path.parent) == ["model"]
        assert gaps == 2, "absent only between the two renames (an attempt to remove an empty folder stands before the second)"
        assert contents(paths[-1]) == "new!"
        assert contents(paths[0]) == "old!"

    def test_a_new_folder_is_whole_or_absent(self, tmp_path: Path) -> None:
        for path in killed(tmp_path, "new"):
            recover(path)
            if path.exists():
                assert contents(path) == "new!"
            assert os.listdir(path.parent) in ([], ["model"])

    def test_recovery_may_be_killed_too(self, tmp_path: Path) -> None:
        for path in killed(tmp_path, "recover"):
            recover(path)
            assert contents(path) == "new!"
            assert os.listdir(path.parent) == ["model"]

    def test_the_next_save_recovers_and_cleans(self, tmp_path: Path) -> None:
        for path in killed(tmp_path, "replace"):
            with pytest.raises(CheckpointError, match="already exists"), atomic_folder(path):
                raise AssertionError("not reached")
            assert contents(path) in ("old!", "new!")
            assert os.listdir(path.parent) == ["model"]

    def test_a_file_is_old_or_new(self, tmp_path: Path) -> None:
        for path in killed(tmp_path, "file"):
            assert path.read_bytes() in (b"old", b"new")
            atomic_write(path, b"newer")
            assert os.listdir(path.parent) == ["model"]


def test_folder_appears_whole_with_parents(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    with atomic_folder(path) as folder:
        (folder / "x").write_text("1")
        assert not path.exists()
        assert folder.parent == path.parent
    assert (path / "x").read_text() == "1"
    with atomic_folder(path, replace=True) as folder:
        (folder / "y").write_text("2")
    assert os.listdir(path) == ["y"]
    assert os.listdir(path.parent) == ["one"]


def test_an_empty_folder_makes_way(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    with atomic_folder(path) as folder:
        (folder / "x").write_text("1")
    assert os.listdir(path) == ["x"]


def test_exception_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model"

    def save_and_stop() -> None:
        with atomic_folder(path, replace=True) as folder:
            (folder / "x").write_text("1")
            raise KeyError("stop")

    def write_and_stop() -> None:
        with atomic_file(path / "old") as stream:
            stream.write(b"new")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        save_and_stop()
    assert os.listdir(tmp_path) == []
    path.mkdir()
    (path / "old").write_text("o")
    with pytest.raises(KeyboardInterrupt), atomic_folder(path, replace=True):
        raise KeyboardInterrupt
    with pytest.raises(KeyError):
        save_and_stop()
    with pytest.raises(KeyError):
        write_and_stop()
    assert os.listdir(tmp_path) == ["model"]
    assert os.listdir(path) == ["old"]
    assert (path / "old").read_text() == "o"


def test_links_are_replaced_not_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "keep").write_text("k")
    link, file = tmp_path / "latest", tmp_path / "file"
    link.symlink_to(real)
    file.symlink_to(real / "keep")
    with atomic_folder(link, replace=True) as folder:
        (folder / "x").write_text("1")
    atomic_write(file, b"new")
    assert not link.is_symlink()
    assert os.listdir(link) == ["x"]
    assert (real / "keep").read_text() == "k"
    assert sorted(os.listdir(tmp_path)) == ["file", "latest", "real"]


def test_wrong_places_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("f")
    with pytest.raises(CheckpointError, match="it is a file; name a folder"), atomic_folder(file, replace=True):
        pass
    with pytest.raises(CheckpointError, match="a part of this path is a file"), atomic_folder(file / "model"):
        pass
    with pytest.raises(CheckpointError, match="a part of this path is a file"):
        atomic_write(file / "deep" / "x", b"")
    with pytest.raises(CheckpointError, match="it is a folder; name a file"):
        atomic_write(tmp_path, b"")
    with pytest.raises(CheckpointError, match="too long"):
        atomic_write(tmp_path / ("n" * 250), b"")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "permission denied"), (errno.EROFS, "read-only")]
)
@pytest.mark.parametrize("function", ["fsync", "rename", "mkdir", "replace"])
def test_what_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str, function: str) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("o")
    failing = False
    real = getattr(os, function)

    def refuse(target: object, *rest: object, **options: object) -> object:
        if not failing or "old-" in str(target):
            return real(target, *rest, **options)
        if function == "fsync":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, function, refuse)
    failing = True
    expected = "the disk is full" if function == "fsync" else message
    if function in ("rename", "mkdir", "fsync"):
        with pytest.raises(CheckpointError, match=expected), atomic_folder(path, replace=True) as folder:
            (folder / "x").write_text("1")
    if function in ("replace", "fsync"):
        with pytest.raises(CheckpointError, match=expected):
            atomic_write(path / "old", b"new")
    failing = False
    assert os.listdir(path) == ["old"]
    assert (path / "old").read_text() == "o"
    recover(path)
    assert os.listdir(tmp_path) == ["model"]


def test_the_old_folder_returns_when_the_new_one_cannot_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("o")
    real = os.rename

    def refuse(source: object, target: object) -> None:
        if ".new-" in str(source) and Path(str(target)) == path and not path.exists():
            raise PermissionError(errno.EACCES, "held open", str(source))
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(CheckpointError, match="permission denied"), atomic_folder(path, replace=True) as folder:
        (folder / "x").write_text("1")
    assert os.listdir(tmp_path) == ["model"]
    assert os.listdir(path) == ["old"]


def test_errors_of_the_caller_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "model"):
        (tmp_path / "absent").read_text()
    with pytest.raises(FileExistsError), atomic_folder(tmp_path / "model") as folder:
        os.makedirs(folder / "x" / ".." / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError), atomic_folder(tmp_path / "model"):
        (tmp_path / "file" / "x").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_file_beyond_the_limit_leaves_the_old_one(tmp_path: Path) -> None:
    code = (
        "import resource, sys, numpy; from pathlib import Path; from bertworks.checkpoints import write_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "write_tensors(Path(sys.argv[1]), {'a': numpy.zeros(1 << 20)})"
    )
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "CheckpointError: cannot save" in run.stderr
    assert "raise the limit" in run.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_messages_name_the_final_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "model"
    message = re.escape(f"cannot save {path / 'config.json'}: the disk is full")
    with pytest.raises(CheckpointError, match=message), atomic_folder(path) as folder:
        atomic_write(folder / "config.json", b"{}")
    assert os.listdir(tmp_path) == []


def test_leftovers_of_the_living_and_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "model"
    mine = sibling(path, "tmp")
    mine.mkdir()
    pid, token = mine.name.rsplit("-", 2)[1:]
    same_id = tmp_path / f".model.tmp-{pid}-{token[:6]}ffffff{token[12:]}"  # our process id, of an earlier life
    parent = tmp_path / f".model.old-{os.getppid()}-{token}"
    foreign = tmp_path / f".model.tmp-{pid}-{'0' * 6}{token[6:]}"
    other_name = tmp_path / f".model2.tmp-{2**22 + 5}-{token}"
    for folder in (same_id, parent, foreign, other_name):
        folder.mkdir()
    assert leftovers(path) == [("tmp", same_id)]
    recover(path)
    assert sorted(os.listdir(tmp_path)) == sorted(folder.name for folder in (mine, parent, foreign, other_name))


WRITER = """
import sys
from pathlib import Path
from bertworks.checkpoints import atomic_folder
for number in range(int(sys.argv[3])):
    with atomic_folder(Path(sys.argv[1]), replace=True) as folder:
        for name in "ab":
            (folder / name).write_text(f"{sys.argv[2]}.{number}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="folders in use cannot be replaced")
def test_several_writers_and_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "model"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(n), "8"], stderr=subprocess.PIPE) for n in range(3)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            texts = []
            for name in "ab":
                with open(os.open(name, os.O_RDONLY, dir_fd=handle)) as stream:
                    texts.append(stream.read())
            assert texts[0] == texts[1]
            assert texts[0]
            seen.add(texts[0])
        except FileNotFoundError:  # this version was thrown away while it was read
            pass
        finally:
            os.close(handle)
        time.sleep(0.001)
    for writer in writers:
        assert writer.communicate()[1] == b""
        assert writer.returncode == 0
    assert (path / "a").read_text() == (path / "b").read_text()
    assert (path / "a").read_text().endswith(".7")
    recover(path)
    assert os.listdir(tmp_path) == ["model"]
    assert len(seen) > 1


def test_threads_of_one_process_do_not_disturb_each_other(tmp_path: Path) -> None:
    def save(number: int) -> None:
        for _ in range(5):
            with atomic_folder(tmp_path / "model", replace=True) as folder:
                (folder / "x").write_text(str(number))
            atomic_write(tmp_path / "file", str(number).encode())

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(os.listdir(tmp_path)) == ["file", "model"]
    assert (tmp_path / "model" / "x").read_text() in "0123"
