"""`student.dtype = "auto"`: what is chosen, told, and kept by whoever goes on."""

from functools import partial
from pathlib import Path

import pytest
import torch

from listening import Listening
from sert.config.grid import load_grid
from sert.config.load import load_config
from sert.config.tree import Config, MiningConfig, StudentConfig
from sert.errors import StudentError, TeacherError
from sert.lab import DEMO_CONFIG
from sert.records import Question
from sert.runs.request import CONFIG, GRID, Request, read_request
from sert.runs.run import plan, run
from sert.store.artifacts import work_folder
from sert.store.disk import put
from sert.store.stage import key_of
from sert.student.decoding import choice, proof
from sert.student.decoding.choice import choose, chosen, product_rates, worth_it
from sert.student.decoding.proof import Distance
from sert.student.decoding.units import settled
from sert.student.kernels import Kernels, Packed, compiled
from sert.student.load import Student, load_student
from sert.student.speed import quantized
from sert.student.speed.quantized import Lacking
from sert.terminal.progress import Silent

NEAR, FAR = Distance(0.005, 0.02, 1e-5, 1.0), Distance(0.3, 1.5, 0.05, 0.9)


@pytest.mark.parametrize(
    ("rates", "distances", "dtype", "told"),
    [
        ({"bfloat16": 2.7, "int16": 2.0}, {"int16": NEAR, "bfloat16": NEAR}, "bfloat16", "2.0 (int16), 2.7 (bfloat16)"),
        ({"bfloat16": 2.5, "int16": 2.0}, {"int16": NEAR, "bfloat16": NEAR}, "int16", "times as fast as in float32"),
        (
            {"int8": 4.0, "bfloat16": 2.0},
            {"int8": FAR, "bfloat16": NEAR},
            "bfloat16",
            "int8 lies 0.3 nats from float32",
        ),
        ({"int16": 2.0, "int8": 4.0}, {"int16": NEAR, "int8": FAR}, "int16", "int8 lies 0.3 nats from float32"),
        ({"int16": 2.0, "int8": 4.0}, {"int16": NEAR, "int8": None}, "int16", "int8 does not fit"),
        ({"bfloat16": 2.0}, {"bfloat16": FAR}, "float32", "bfloat16 lies 0.3 nats from float32"),
        ({"bfloat16x2": 1.7, "int16": 2.0}, {"bfloat16x2": NEAR}, "bfloat16x2", "1.7 (bfloat16x2), 2.0 (int16)"),
        ({"bfloat16": 1.1, "int16": 0.9}, {}, "float32", "0.9 (int16), 1.1 (bfloat16)"),
        ({}, {}, "float32", "for students of 10,000,000 weights and more"),
    ],
)
def test_the_fastest_that_is_near_is_taken(
    rates: dict[str, float], distances: dict[str, Distance | None], dtype: str, told: str
) -> None:
    found, because = choose(rates, distances.__getitem__)  # of what is not worth it no distance is asked
    assert found == dtype and told in because


@pytest.mark.parametrize(
    ("rates", "order"),
    [
        ({"int16": 2.0, "bfloat16": 2.1, "int8": 2.5}, ["int16", "bfloat16", "int8"]),
        ({"int16": 2.1, "bfloat16": 2.0, "int8": 2.7}, ["int16", "int8", "bfloat16"]),
        ({"int16": 2.0, "bfloat16": 2.6, "int8": 3.3}, ["bfloat16", "int8", "int16"]),
        ({"int8": 9.0, "bfloat16": 1.19, "int16": 1.2}, ["int8", "int16"]),
    ],
)
def test_of_two_that_are_nearly_as_fast_the_nearer_one_comes_first(rates: dict[str, float], order: list[str]) -> None:
    assert worth_it(rates) == worth_it(dict(reversed(rates.items()))) == order


def test_what_cannot_be_tried_is_said_with_what_mends_it() -> None:
    lacking = Lacking("there is no C compiler 'cc'", "install gcc or clang, or set CC")
    _, because = choose({"bfloat16": 1.0}, {}.get, lacking=lacking)
    assert "int16 and int8 cannot be tried, because there is no C compiler 'cc': install gcc" in because


def test_each_type_is_timed_at_its_best_in_turns(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = iter(range(10**6)), list[str]()
    monkeypatch.setattr(choice.time, "thread_time", lambda: float(next(clock)))
    products = {name: partial(lambda name, inputs: order.append(name), name) for name in ("float32", "int8")}
    assert choice._seconds(products, torch.zeros(1)) == {"float32": 1.0, "int8": 1.0}
    assert order[:4] == ["float32", "int8"] * 2 and len(order) > 20


@pytest.mark.parametrize(("allowed", "dtype"), [(10.0, "bfloat16"), (0.0, "float32")])
def test_a_student_is_measured_and_the_choice_told(
    student_folder: Path, allowed: float, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "product_rates", lambda student: {"bfloat16": 2.0})
    monkeypatch.setattr(proof, "LARGE_DISTANCE", allowed)
    reporter = Listening()
    asked = StudentConfig(path=str(student_folder), dtype="auto", device="cpu")
    assert chosen(asked, reporter) == asked.model_copy(update={"dtype": dtype})
    _, line = reporter.said
    assert f"student.dtype = 'auto' takes {dtype}: " in line and "nats from float32" in line


def test_products_are_measured_where_a_student_is_large_enough(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert product_rates(student) == {}
    monkeypatch.setattr(choice, "LARGE_STUDENT", 0)
    monkeypatch.setattr(quantized, "LARGE_LAYER", 0)
    rates = product_rates(student)
    assert "bfloat16" in rates and "float32" not in rates and set(rates) <= {"bfloat16x2", "bfloat16", "int16", "int8"}
    assert all(rate > 0 for rate in rates.values())


def test_products_are_measured_in_the_loops_of_this_processor(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = compiled()
    if kernels is None or not kernels.has_integers:
        pytest.skip("this processor has no integer products of ours")
    monkeypatch.setattr(choice, "LARGE_STUDENT", 0)
    monkeypatch.setattr(quantized, "LARGE_LAYER", 0)
    asked: list[torch.dtype] = []
    plain = Kernels.linear

    def listening(self: Kernels, inputs: torch.Tensor, layer: Packed) -> torch.Tensor:
        asked.append(layer.weights.dtype)
        return plain(self, inputs, layer)

    monkeypatch.setattr(Kernels, "linear", listening)
    assert {"int16", "int8"} <= product_rates(student).keys()
    assert {torch.int16, torch.int8} <= set(asked)


def test_no_student_is_loaded_in_a_type_that_is_not_chosen_yet() -> None:
    with pytest.raises(StudentError, match="give one of the types"):
        load_student(StudentConfig(path="lab", dtype="auto"))


# ---- what is chosen once is kept


def test_a_command_keeps_the_type_of_its_result_and_of_its_unfinished_work(
    questions: list[Question], student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sert.paths.mining import MineJob, mine
    from sert.student.source import StudentSource

    asked = StudentConfig(path=str(student_folder), dtype="auto", device="cpu")
    mining = MiningConfig(branches=1, samples=1, max_new_tokens=4)
    monkeypatch.setattr(choice, "chosen", lambda student, reporter: student.model_copy(update={"dtype": "bfloat16"}))
    mined = mine(questions[:1], asked, out=tmp_path / "mined", config=mining)
    in_float32 = mine(questions[:1], asked.model_copy(update={"dtype": "float32"}), out=tmp_path / "32", config=mining)
    assert mined.key != in_float32.key

    monkeypatch.setattr(choice, "chosen", lambda student, reporter: pytest.fail("chosen again"))
    for place, made in (("mined", mined), ("32", in_float32)):
        assert mine(questions[:1], asked, out=tmp_path / place, config=mining).key == made.key

    def job_of(student: StudentConfig) -> MineJob:
        return MineJob(tuple(questions), StudentSource(student), mining=mining)

    in_int16 = asked.model_copy(update={"dtype": "int16"})
    work_folder(tmp_path / "stopped", key_of(job_of(in_int16))).mkdir()
    assert settled(asked, job_of, out=tmp_path / "stopped", reporter=Silent()) == in_int16


def demo() -> Config:
    return load_config(DEMO_CONFIG, overrides=["student.dtype=auto"], limit=3)


def take_int16(student: StudentConfig) -> StudentConfig:
    return student.model_copy(update={"dtype": "int16"})


def test_a_run_writes_its_choice_down_and_keeps_it(tmp_path: Path) -> None:
    request = Request.of(demo()).settled(tmp_path, take_int16)
    assert request.arms[0].config.student.dtype == "int16"
    put(tmp_path / CONFIG, request.text.encode())
    assert read_request(tmp_path).arms[0].config.student.dtype == "int16"
    again = Request.of(demo()).settled(tmp_path, lambda student: pytest.fail("chosen again"))
    assert again == request
    other = demo().model_copy(update={"student": StudentConfig(path="another", dtype="auto")})
    assert Request.of(other).settled(tmp_path, take_int16).arms[0].config.student.dtype == "int16"
    exact = load_config(DEMO_CONFIG)
    assert Request.of(exact).settled(tmp_path, take_int16).arms[0].config.student.dtype == "float32"


def test_all_else_is_checked_before_a_student_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "chosen", lambda student, reporter: pytest.fail("chosen too early"))
    gone = demo().tasks["lab-choice"].model_copy(update={"rationales": tmp_path / "gone.jsonl"})
    with pytest.raises(TeacherError, match="gone"):
        run(demo().model_copy(update={"tasks": {"lab-choice": gone}}), out=tmp_path / "run")
    with pytest.raises(pytest.fail.Exception, match="too early"):
        run(demo(), out=tmp_path / "run")


def test_a_grid_chooses_once_for_each_student(tmp_path: Path) -> None:
    seen: list[str] = []

    def take(student: StudentConfig) -> StudentConfig:
        seen.append(student.path)
        return student.model_copy(update={"dtype": "bfloat16" if student.path == "gpt2" else "float32"})

    request = Request.of(load_grid("paper")).settled(tmp_path, take)
    assert seen == ["gpt2", "gpt2-medium", "gpt2-large"]
    put(tmp_path / GRID, request.text.encode())
    again = Request.of(load_grid("paper")).settled(tmp_path, lambda student: pytest.fail("chosen again"))
    assert {arm.config.student.path: arm.config.student.dtype for arm in again.arms} == {
        "gpt2": "bfloat16",
        "gpt2-medium": "float32",
        "gpt2-large": "float32",
    }


def test_a_dry_run_says_what_is_not_decided_yet(tmp_path: Path) -> None:
    reporter = Listening()
    assert plan(demo(), out=tmp_path / "run", reporter=reporter).stages
    assert [line for line in reporter.said if "chosen when the work starts" in line and "planned as float32" in line]
