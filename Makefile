# agentfleet: every target is a thin line that a person could type. `make` alone explains them.

STACK ?= stage1
# Empty (make up YES=): Pulumi shows its preview and asks before it acts.
YES ?= 1
# What the set-up makes ready: all, or dev for stacks whose nodes are all reached by SSH.
PART ?= all
# Not empty (make lock UPGRADE=1): the newest versions that are allowed, not the least change.
UPGRADE ?=
# A service or a node (make logs OF=agents-0), and whether to go on with what comes; empty: all of it, once.
OF ?=
FOLLOW ?=
# The node to work on (make drain NODE=node-2).
NODE ?=
# The stack's name once more (make down DELETE_DATA=stage2): its agents' state may go with it.
DELETE_DATA ?=
# A folder for make env, a file for make backup; a file for make restore.
TO ?=
FROM ?=
# Tests at once. Most wait for boots and engines, so there may be more than processors.
WORKERS ?= 3

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)) python3)
VENV := .venv/bin

.NOTPARALLEL:
.PHONY: help up preview down key env backup restore status logs drain undrain setup setup-dev setup-test test check bench bench-affinity bench-front-door bench-gateway bench-sizing lock clean-cache

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

up: setup ## bring STACK (stage1) up and ask it a question; YES= asks before it acts
	@$(VENV)/python -m tools.stack up $(STACK) $(if $(YES),,--ask)

preview: setup ## what `up` would do to STACK: decisions, resources, differences of every file
	@$(VENV)/python -m tools.stack preview $(STACK)

down: setup-dev ## remove everything that STACK brought
	@$(VENV)/python -m tools.stack down $(STACK) $(if $(DELETE_DATA),--delete-data $(DELETE_DATA))

status: ## say whether everything of STACK runs, answers and gets requests
	@tools/run $(VENV)/fleet status $(STACK)

logs: ## print the newest lines of STACK; OF=agents-0 or OF=node-2: of that alone; FOLLOW=1 goes on
	@tools/run $(VENV)/fleet logs $(STACK) $(OF) $(if $(FOLLOW),--follow)

drain: ## send the requests of NODE of STACK elsewhere and wait for those in flight
	@tools/run $(VENV)/fleet drain $(STACK) $(NODE)

undrain: ## let NODE of STACK have requests again
	@tools/run $(VENV)/fleet undrain $(STACK) $(NODE)

key: ## print the API key of STACK, for scripts: $(make -s key)
	@$(VENV)/python -m tools.stack key $(STACK)

env: setup-dev ## write agents.env of STACK into the folder TO, for its agents alone
	@$(VENV)/python -m tools.stack env $(STACK) $(if $(TO),--to $(TO))

backup: ## bring a snapshot of the state store of STACK here, as the file TO
	@tools/run $(VENV)/fleet backup $(STACK) $(TO)

restore: ## put the snapshot FROM in the place of what the state store of STACK holds
	@tools/run $(VENV)/fleet restore $(STACK) $(FROM)

setup: ## make this computer ready; every verb does it first (PART=dev: without the lab)
	@$(PYTHON) -m tools.setup $(PART)

setup-dev:
	@$(PYTHON) -m tools.setup dev

setup-test:
	@$(PYTHON) -m tools.setup test

test: setup-test check ## everything: checks and all tests, real lab nodes and the real engine included
	@tools/run $(VENV)/python -m pytest --numprocesses=$(WORKERS)

check: setup-dev ## linter, formatter, types
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

bench: setup ## the measurements under tests/bench
	@tools/run $(VENV)/python -m pytest tests/bench -s

bench-front-door: setup ## what `make up` and the daily verbs of STACK take, and that `make down` leaves nothing
	@$(VENV)/python tests/bench/front_door/measure.py $(STACK)

bench-gateway: setup ## what the gateway adds at 1,000 streams, beside pure hashing, HAProxy and LiteLLM
	@PYTHONPATH=tests $(VENV)/python -m bench.gateway.measure

bench-affinity: setup ## sessions that stay, hit rates, skewed load, 3 -> 4 -> 3 replicas: beside other routers
	@PYTHONPATH=tests $(VENV)/python -m bench.affinity.measure

bench-sizing: setup-dev ## how far `fleet size` is from 84 published starts of vLLM, entry by entry
	@$(VENV)/python tests/bench/sizing/score.py

lock: setup-dev ## pin again what pyproject.toml and tools/ ask for; UPGRADE=1 takes the newest
	@$(PYTHON) -m tools.setup.lock $(if $(UPGRADE),--upgrade)

clean-cache: ## delete all downloads and builds; refused while lab nodes use them
	@$(PYTHON) -m tools.setup.clean
