"""Checks the figures of a finished demo; run by continuous integration after `make demo`.

python tests/demo_figures.py runs/demo/report/metrics.json
"""

import json
import sys
from pathlib import Path
from typing import Any

RULES = ("imitation", "option_repetition", "direct_response", "length", "repetition", "perplexity")


def check(metrics: dict[str, Any]) -> list[str]:
    """List every figure that is not as the lab was designed; prints each figure on the way."""
    wrong: list[str] = []

    def expect(condition: bool, what: str) -> None:
        print(f"{'ok   ' if condition else 'WRONG'} {what}")
        if not condition:
            wrong.append(what)

    for task in metrics["tasks"]:
        name = task["task"]
        rows = {row["method"]: row for row in metrics["rows"] if row["task"] == name}
        latent = {row["decoding"]: row for row in metrics["latent"] if row["task"] == name}
        zero_shot, finetune, sert = rows["zero_shot"], rows["finetune"], rows["sert"]
        expect(task["num_test"] >= 200, f"{name}: {task['num_test']} held-out questions")
        expect(zero_shot["reasoned"] <= 0.05, f"{name}: zero-shot reasons in {zero_shot['reasoned']:.3f}")
        gap = zero_shot["accuracy"] - task["chance_accuracy"]
        expect(abs(gap) <= 0.15, f"{name}: zero-shot accuracy is {gap:+.3f} from chance")
        raw, branching = latent["raw sampling"], latent["branching"]
        expect(raw["samples"] == branching["samples"], f"{name}: {raw['samples']} samples for raw and branching")
        shares = raw["questions_reasoned_share"], branching["questions_reasoned_share"]
        expect(shares[0] < shares[1] / 2, f"{name}: raw reasons for {shares[0]:.3f}, branching for {shares[1]:.3f}")
        expect(sert["reasoned"] >= 0.9, f"{name}: SERT reasons in {sert['reasoned']:.3f}")
        for other in (zero_shot, finetune):
            gain = sert["accuracy"] - other["accuracy"]
            expect(gain >= 0.25, f"{name}: SERT is {gain:+.3f} from {other['method']}")
        expect(sert["train_steps"] == finetune["train_steps"], f"{name}: {sert['train_steps']} steps for both")
        expect({"rd", "sert+rd"} <= rows.keys(), f"{name}: rd and sert+rd are in the table")
    for rule in RULES:
        dropped = sum(row["dropped"] for row in metrics["funnel"] if row["rule"] == rule)
        expect(dropped >= 1, f"{rule} drops {dropped} paths")
    for row in metrics["selection"]:
        selected, mined = row["selected_true_share"], row["mined_true_share"]
        expect(selected >= 0.9 and selected > mined, f"{row['task']}: {selected:.3f} true selected, {mined:.3f} mined")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if check(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))) else 0)
