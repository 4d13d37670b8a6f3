"""Unpacking files, and telling what their bytes are."""

import bz2
import codecs
import gzip
import hashlib
import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from boathouse.ingest import content, text
from boathouse.ingest.content import Part, RefusedFileError, UnfinishedFileError, digest, unpack
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.text import Shape, examine
from boathouse.settings import Settings

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstd.compress,
}
NOISE = random.Random(1).randbytes(50_000)  # noise does not shrink, so that cuts hit data


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as found:
        for name, data in members:
            found.writestr(name, data)
    return target.getvalue()


PACKERS["zip"] = lambda data: archive(("data.csv", data))


def delivery(path: Path, data: bytes) -> Delivery:
    path.write_bytes(data)
    status = path.stat()
    return Delivery("things", path, path.name, status.st_size, status.st_mtime_ns)


def parts(path: Path, data: bytes, *, is_workbook: bool = False, **settings: int) -> list[bytes]:
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    found = unpack(
        delivery(path, data),
        Settings(project=path.parent, home=path.parent, **settings),
        work,
        is_workbook=is_workbook,
    )
    return [part.whole() for part in found]


def refusal(path: Path, data: bytes, *, is_workbook: bool = False, **settings: int) -> str:
    with pytest.raises(RefusedFileError) as caught:
        parts(path, data, is_workbook=is_workbook, **settings)
    return str(caught.value)


@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_a_packed_file_is_unpacked(tmp_path: Path, suffix: str) -> None:
    assert parts(tmp_path / f"a.csv.{suffix}", PACKERS[suffix](b"data")) == [b"data"]
    assert parts(tmp_path / f"B.CSV.{suffix.upper()}", PACKERS[suffix](b"data")) == [b"data"]


@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_a_large_packed_file_is_unpacked_to_disk(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "SMALL", 1000)
    monkeypatch.setattr(content, "PIECE", 700)
    assert parts(tmp_path / f"a.csv.{suffix}", PACKERS[suffix](NOISE)) == [NOISE]
    assert len(list((tmp_path / "work").iterdir())) == 1


@pytest.mark.parametrize("suffix", sorted(PACKERS))
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_packed_file_that_was_cut_off_is_refused(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    packed = PACKERS[suffix](NOISE)
    reason = refusal(tmp_path / f"a.csv.{suffix}", packed[: int(len(packed) * kept)])
    assert "archive is damaged or cut off: " in reason


@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_a_packed_file_with_a_wrong_byte_is_refused(tmp_path: Path, suffix: str) -> None:
    random_places = random.Random(2)
    for _ in range(20):
        packed = bytearray(PACKERS[suffix](NOISE * 2 + b"text" * 1000))
        packed[random_places.randrange(100, len(packed) - 200)] ^= 0xFF
        try:
            found = parts(tmp_path / f"a.csv.{suffix}", bytes(packed))
        except RefusedFileError as error:
            assert "damaged or cut off" in str(error)
        else:  # zstd has no checksum unless asked for; then at least nothing is made up
            assert suffix == "zst"
            assert len(found[0]) == len(NOISE) * 2 + 4000


@pytest.mark.parametrize(
    ("name", "data", "telling"),
    [
        (
            "a.csv",
            PACKERS["zip"](b"x"),
            "its content is a ZIP archive, but its name says it is not",
        ),
        (
            "a.csv",
            gzip.compress(b"x", mtime=0),
            "its content is a gzip archive, but its name says it is not",
        ),
        ("a.csv.gz", b"id\n1\n", "its content is not packed, but its name says it is a gzip"),
        ("a.csv.gz", PACKERS["zip"](b"x"), "a ZIP archive, but its name says it is a gzip archive"),
        ("a.csv", b"", "the file is empty (0 bytes)"),
        ("a.csv.zip", archive(), "the ZIP archive holds no file"),
        ("a.csv.zip", archive(("folder/", b"")), "the ZIP archive holds no file"),
        ("a.csv.zip", archive(("__MACOSX/a", b"x"), (".DS_Store", b"x")), "holds no file"),
        ("a.csv.zip", archive(("a.csv", b"")), "'a.csv' in the ZIP archive is empty"),
        ("a.csv.zip", archive(("../a.csv", b"x")), "'../a.csv', a path outside the archive"),
        ("a.csv.zip", archive(("b/../../a.csv", b"x")), "a path outside the archive"),
        ("a.csv.zip", archive(("/etc/a.csv", b"x")), "'/etc/a.csv', a path outside the archive"),
        ("a.csv.zip", archive(("C:/a.csv", b"x")), "a path outside the archive"),
        ("a.csv.zip", archive(("..\\a.csv", b"x")), "a path outside the archive"),
        ("a.csv.zip", archive(("ok.csv", b"x"), ("../a.csv", b"x")), "a path outside the archive"),
        ("a.csv.zip", b"PK\x03\x04 not really", "archive is damaged or cut off"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, name: str, data: bytes, telling: str
) -> None:
    assert telling in refusal(tmp_path / name, data)


def test_a_zip_with_folders_and_several_files_has_a_part_for_each_file(tmp_path: Path) -> None:
    packed = archive(
        ("data/", b""), ("data/b.csv", b"b"), ("a.csv", b"a"), ("__MACOSX/a.csv", b"no")
    )
    assert parts(tmp_path / "a.csv.zip", packed) == [b"b", b"a"]


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    packed = bytearray(archive(("a.csv", b"data")))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + place] |= 1
    reason = refusal(tmp_path / "a.csv.zip", bytes(packed))
    assert reason == "the ZIP archive is protected by a password"


def test_an_excel_workbook_is_no_archive(tmp_path: Path) -> None:
    packed = archive(("xl/workbook.xml", b"<x/>"))
    assert parts(tmp_path / "a.xlsx", packed, is_workbook=True) == [packed]


@pytest.mark.parametrize("suffix", sorted(PACKERS))
@pytest.mark.parametrize("small", [100, content.SMALL])
def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, suffix: str, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "SMALL", small)
    monkeypatch.setattr(content, "PIECE", 100)
    path = tmp_path / f"a.csv.{suffix}"
    reason = refusal(path, PACKERS[suffix](bytes(100_000)), max_unpacked_bytes=99_999)
    assert reason == "it unpacks to more than 99,999 bytes (BOATHOUSE_MAX_UNPACKED_BYTES)"
    assert parts(path, PACKERS[suffix](bytes(100_000)), max_unpacked_bytes=100_000)


def test_the_limit_of_unpacking_holds_for_all_members_of_a_zip_together(tmp_path: Path) -> None:
    packed = archive(*((f"{n}.csv", b"x" * 1000) for n in range(10)))
    assert refusal(tmp_path / "a.csv.zip", packed, max_unpacked_bytes=9_999)
    assert len(parts(tmp_path / "a.csv.zip", packed, max_unpacked_bytes=10_000)) == 10


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    found = digest(delivery(tmp_path / "a", b"data"))
    assert found == hashlib.sha256(b"data").hexdigest()


def test_a_link_is_hashed_and_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    link = tmp_path / "link"
    link.symlink_to(secret)
    found = digest(Delivery("things", link, "link", 0, 0))
    assert found == hashlib.sha256(os.fsencode(secret)).hexdigest()


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert digest(Delivery("things", tmp_path / "pipe", "pipe", 0, 0))


@pytest.mark.parametrize("change", [lambda p: p.write_bytes(b"longer data"), Path.unlink])
def test_a_file_that_is_not_as_it_was_found_is_unfinished(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    found = delivery(tmp_path / "a", b"data")
    change(found.path)
    with pytest.raises(UnfinishedFileError):
        digest(found)


def test_a_file_that_may_not_be_read_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = delivery(tmp_path / "a", b"data")

    def deny(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(UnfinishedFileError, match="permission denied"):
        digest(found)


# -- text ----------------------------------------------------------------------------------


def shape(tmp_path: Path, data: bytes, piece: int, monkeypatch: pytest.MonkeyPatch) -> Shape:
    """Return the shape of a text that is read in pieces of a few bytes."""
    monkeypatch.setattr(content, "PIECE", piece)
    path = tmp_path / "text"
    path.write_bytes(data)
    return examine(Part(path, len(data)))


PIECES = [1, 2, 3, 5, 1000]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    ("data", "is_blank", "has_return"),
    [
        (b"a\nb\n", False, False),
        (b"a\r\nb\r\n", False, False),
        (b"a\n\nb", True, False),
        (b"a\r\n\r\nb", True, False),
        (b"\na", True, False),
        (b"\r\na", True, False),
        (codecs.BOM_UTF8 + b"\na", True, False),
        (b"a\n\n", True, False),
        (b"a\rb", False, True),
        (b"a\r\r\nb", False, True),
        (b"a\nb\r", False, True),
        (b"a\nb\r\n", False, False),
    ],
)
def test_blank_lines_and_lone_returns_are_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    piece: int,
    data: bytes,
    is_blank: bool,
    has_return: bool,
) -> None:
    if data.startswith(codecs.BOM_UTF8):
        piece = max(piece, 3)  # the mark is looked for in the first piece
    found = shape(tmp_path, data, piece, monkeypatch)
    assert (found.has_blank_line, found.has_lone_return) == (is_blank, has_return)
    assert found.newlines == data.count(b"\n")


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("data", [b"aaaa\nb\n", b"a\nbbbb", b"a\nbbbb\nc", b"bbbb", b"", b"\n\n"])
def test_the_longest_line_is_never_underestimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, data: bytes
) -> None:
    found = shape(tmp_path, data, piece, monkeypatch).longest_line
    assert max(map(len, data.split(b"\n"))) <= found <= len(data)


@pytest.mark.parametrize("piece", PIECES)
def test_a_byte_that_is_no_utf8_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    data = "öö\nüü\n".encode() + b"x\xe4y\n"
    with pytest.raises(RefusedFileError) as caught:
        shape(tmp_path, data, piece, monkeypatch)
    assert "not UTF-8: byte 0xE4 at offset 11 (line 3)" in str(caught.value)
    assert "say its encoding in the contract" in str(caught.value)


@pytest.mark.parametrize("piece", PIECES)
def test_characters_across_pieces_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    shape(tmp_path, "äöü€😀\n".encode() * 3, piece, monkeypatch)


def test_a_character_cut_off_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RefusedFileError, match="not UTF-8: byte 0xE2"):
        shape(tmp_path, "aaaa€".encode()[:-1], 3, monkeypatch)


@pytest.mark.parametrize("piece", PIECES)
def test_a_nul_byte_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    with pytest.raises(RefusedFileError, match=r"a NUL byte at offset 4 \(line 2\)"):
        shape(tmp_path, b"ab\nc\0d\n", piece, monkeypatch)


@pytest.mark.parametrize(
    ("encoding", "mark", "told"),
    [
        ("utf-16-le", codecs.BOM_UTF16_LE, "UTF-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "UTF-16"),
        ("utf-32-le", codecs.BOM_UTF32_LE, "UTF-32"),
        ("utf-32-be", codecs.BOM_UTF32_BE, "UTF-32"),
        ("utf-16-le", b"", "UTF-16LE"),
        ("utf-16-be", b"", "UTF-16BE"),
    ],
)
def test_wide_text_is_told_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, mark: bytes, told: str
) -> None:
    data = mark + "id,name\n1,Zoë\n".encode(encoding)
    with pytest.raises(RefusedFileError, match=rf"{told}, not UTF-8; say so.*{told.lower()}"):
        shape(tmp_path, data, 1000, monkeypatch)


def test_only_the_mark_at_the_start_is_dropped() -> None:
    mark = codecs.BOM_UTF8
    assert text.without_mark(mark + b"a" + mark) == b"a" + mark
