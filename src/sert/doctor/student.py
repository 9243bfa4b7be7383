"""Examining a student: which way it is driven here, and what coarser numbers make of it."""

from sert.config.tree import StudentConfig
from sert.doctor.finding import Finding
from sert.errors import StudentError
from sert.student.load import Student, load_student


def examine_student(config: StudentConfig) -> list[Finding]:
    """Load a student in float32 and in coarser numbers, and try it on a few questions.

    Raises:
        StudentError: If it cannot be loaded, or gives no numbers.
    """
    from sert.student.decoding.choice import choose, product_rates, tried
    from sert.student.decoding.proof import check_distance

    exact = load_student(config.model_copy(update={"dtype": "float32"}))
    drive, reference = tried(exact)
    findings = [_described(exact), Finding("driven by", "warning" if drive.refused else "ok", str(drive))]
    distances = {}
    for dtype in ("int16", "bfloat16", "int8"):
        coarse = config.model_copy(update={"dtype": dtype})
        try:
            distance = distances[dtype] = reference.distance_of(load_student(coarse))
        except StudentError as error:
            findings.append(Finding(dtype, "unknown", str(error)))
            continue
        try:
            check_distance(distance, coarse)
        except StudentError:
            findings.append(Finding(dtype, "warning", f"refused, as it makes another student of it: {distance}"))
        else:
            findings.append(Finding(dtype, "warning" if distance.is_large else "ok", str(distance)))
    dtype, because = choose(product_rates(exact), distances.get)
    return [*findings, Finding("auto", "ok", f"student.dtype = 'auto' takes {dtype}: {because}")]


def _described(student: Student) -> Finding:
    ends = ", ".join(repr(student.decode([token])) for token in student.eos_ids)
    positions = "no limit of positions" if student.max_positions is None else f"{student.max_positions:,} positions"
    return Finding(
        "student", "ok", f"{student.model.num_parameters():,} weights, {positions}; its texts end with {ends}"
    )
