"""Examining a student: which way it is driven here, and what coarser numbers make of it."""

from typing import TYPE_CHECKING

from sert.config.tree import StudentConfig
from sert.doctor.finding import Finding
from sert.errors import StudentError
from sert.student.load import Student, load_student

if TYPE_CHECKING:
    from sert.student.decoding.proof import Distance, Reference


def examine_student(config: StudentConfig) -> list[Finding]:
    """Load a student in float32 and in coarser numbers, and try it on a few questions.

    Raises:
        StudentError: If it cannot be loaded, or gives no numbers.
    """
    from sert.student.decoding.choice import choose, product_rates, tried
    from sert.student.speed.quantized import IN_LOOPS, fallback, lacking_loops

    exact = load_student(config.model_copy(update={"dtype": "float32"}))
    drive, reference = tried(exact)
    findings = [_described(exact), _told("way", str(drive))]
    if (slower := fallback(exact.model, "float32")) is not None:
        findings.append(_told("float32", slower))
    distances: dict[str, Distance | None] = {}
    for dtype in IN_LOOPS:
        found, distances[dtype] = _examine_type(config.model_copy(update={"dtype": dtype}), reference)
        findings += found
    dtype, because = choose(product_rates(exact), distances.get, lacking=lacking_loops(exact.model, "int16"))
    return [*findings, Finding("auto", "ok", f"student.dtype = 'auto' takes {dtype}: {because}")]


def _examine_type(coarse: StudentConfig, reference: "Reference") -> "tuple[list[Finding], Distance | None]":
    """Say how far a student in coarser numbers lies from float32, and whether they are those that were asked for."""
    from sert.student.decoding.proof import check_distance
    from sert.student.speed.quantized import fallback

    dtype, findings = coarse.dtype, list[Finding]()
    try:
        loaded = load_student(coarse)
        distance = reference.distance_of(loaded)
    except StudentError as error:
        return [Finding(dtype, "unknown", str(error))], None
    if (instead := fallback(loaded.model, dtype)) is not None:
        findings.append(_told(dtype, instead))
    try:
        findings.append(_told(dtype, check_distance(distance, coarse)))
    except StudentError:
        findings.append(Finding(dtype, "warning", f"refused, as it makes another student of it: {distance}"))
    return findings, distance


def _told(name: str, line: str) -> Finding:
    """Make a finding of what a stage says when it begins."""
    message = line.removeprefix("warning: ")
    return Finding(name, "ok" if message == line else "warning", message)


def _described(student: Student) -> Finding:
    ends = ", ".join(repr(student.decode([token])) for token in student.eos_ids)
    positions = "no limit of positions" if student.max_positions is None else f"{student.max_positions:,} positions"
    return Finding(
        "student", "ok", f"{student.model.num_parameters():,} weights, {positions}; its texts end with {ends}"
    )
