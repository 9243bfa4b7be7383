"""Parcels: files that a machine gets once, in chunks, whole, and with the hashes that they were sent with."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sert.errors import DataError
from sert.store import shipping
from sert.store.shipping import CHUNK, Arrival, Parcel, Part, make_room, node_cache, unpacked

Ask = Callable[[str, str, int], bytes]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return node_cache()


def asking(parcel: Parcel, asked: list[tuple[str, int]]) -> Ask:
    def ask(key: str, name: str, start: int) -> bytes:
        assert key == parcel.key
        asked.append((name, start))
        return parcel.read(name, start)

    return ask


def test_a_parcel_comes_in_chunks_and_once(tmp_path: Path) -> None:
    folder = tmp_path / "student"
    (folder / "deep").mkdir(parents=True)
    large = os.urandom(CHUNK + 3)
    (folder / "weights").write_bytes(large)
    (folder / "deep" / "empty").write_bytes(b"")
    asked: list[tuple[str, int]] = []
    parcel = Parcel.of_folder(folder)
    place = unpacked(parcel, asking(parcel, asked))
    assert asked == [("weights", 0), ("weights", CHUNK)]
    assert (place / "weights").read_bytes() == large
    assert (place / "deep" / "empty").read_bytes() == b""
    assert unpacked(parcel, asking(parcel, asked)) == place
    assert len(asked) == 2


def test_the_name_of_a_parcel_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    from_file, from_bytes = Parcel.of({"a": tmp_path / "file"}), Parcel.of({"a": b"abc"})
    assert from_file.key == from_bytes.key
    assert from_file.parts == (Part("a", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),)
    assert from_file.key != Parcel.of({"b": b"abc"}).key != Parcel.of({"b": b"abd"}).key


def test_one_file_of_a_parcel_may_be_what_is_meant() -> None:
    parcel = Parcel.of({"texts.jsonl": b"1", "other": b"2"}, entry="texts.jsonl")
    assert unpacked(parcel, asking(parcel, [])).read_bytes() == b"1"


def test_what_was_changed_on_the_way_is_refused_and_not_kept(cache: Path) -> None:
    parcel = Parcel.of({"a": b"abc"})
    with pytest.raises(DataError, match="a was changed while it was sent"):
        unpacked(parcel, lambda key, name, start: b"abd")
    with pytest.raises(DataError, match="a was changed while it was sent"):
        unpacked(parcel, lambda key, name, start: b"ab"[start:])
    assert list((cache / "parcels").iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", ""])
def test_no_file_lands_outside_of_its_folder(name: str, tmp_path: Path) -> None:
    parcel = Parcel((Part(name, 1, "0"),), "", {})
    with pytest.raises(DataError, match="leads out of its folder"):
        unpacked(parcel, lambda *_: b"x")
    with pytest.raises(DataError, match="leads out of its folder"):
        Arrival(tmp_path / "arrival").take(name, b"x")


def test_what_travels_of_a_parcel_are_names_and_hashes() -> None:
    parcel = Parcel.of({"a": b"abc"}, entry="a")
    assert parcel.__getstate__() == {"parts": parcel.parts, "entry": "a", "sources": {}}


def test_parcels_beyond_the_room_go_unless_they_were_just_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "ROOM", 25)
    parcels = [Parcel.of({"a": f"number {number}".encode()}) for number in range(4)]
    places = [unpacked(each, asking(each, [])) for each in parcels]
    for age, place in zip((9000, 8000, 7000, 10), places, strict=True):
        os.utime(place, (time.time() - age,) * 2)
    make_room(cache, 8)  # 32 bytes are there
    assert [place.is_dir() for place in places] == [False, False, True, True]
    make_room(cache, 1000)
    assert [place.is_dir() for place in places] == [False, False, False, True]


def test_unfinished_work_is_kept_for_a_week(cache: Path) -> None:
    old, new = cache / "stages" / "old", cache / "stages" / "new"
    for folder, days in ((old, 8), (new, 6)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - days * 86400,) * 2)
    make_room(cache, 0)
    assert (old.exists(), new.exists()) == (False, True)


def test_files_arrive_chunk_by_chunk(tmp_path: Path) -> None:
    arrival = Arrival(tmp_path / "arrival")
    for name, chunk in (("a/b", b"1"), ("a/b", b"2"), ("c", b"")):
        arrival.take(name, chunk)
    assert (arrival.folder / "a" / "b").read_bytes() == b"12"
    assert (arrival.folder / "c").read_bytes() == b""
    arrival.discard()
    assert not arrival.folder.exists()
