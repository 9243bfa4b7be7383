"""Every stage is one function; each leaves one folder. Runs on the embedded lab in seconds."""

from pathlib import Path

import sert

out = Path("runs/python-api")
student = sert.StudentConfig(path="lab")
data = sert.load_task("lab-choice", sert.TaskConfig(kind="lab_choice", limit=40))
train_questions, test_questions = data.split("train"), data.split("test")

# 1. Mine: branch on the top 5 first tokens, sample 5 continuations each.
mining = sert.MiningConfig(max_new_tokens=48, keep_all=True)
mined = sert.mine(train_questions, student, out=out / "mined", config=mining)

# 2. Filter by the rules, select the path with the lowest rep-2 of each question. No model is loaded.
rules = sert.RulesConfig(min_tokens=12, min_perplexity=1.2)
filtered = sert.filter_paths(mined, rules=rules, out=out / "filtered")
print("kept", filtered.counts["kept"], "of", filtered.counts["paths"], "paths; selected", filtered.counts["selected"])

# 3. Self-train on the selected paths.
training = sert.TrainingConfig(max_steps=60, learning_rate=1e-3)
trained = sert.train(sert.read_examples(filtered.folder), student, out=out / "trained", config=training)
activated = sert.trained_student(trained, like=student)

# 4. Ask both students the test questions.
for name, who in (("zero_shot", student), ("sert", activated)):
    evaluated = sert.evaluate(
        test_questions, who, out=out / name, config=sert.EvaluationConfig(max_new_tokens=64), rules=rules
    )
    counts = evaluated.counts
    print(f"{name}: {counts['correct']}/{counts['n']} right, {100 * counts['reasoned']:.0f} % reason")
