# The commands of this repository: `make help` lists them. ARGS (or MLOPS_ARGS) are passed on:
#   make up ARGS='-e mlops_https_port=9443 --check --diff'      make test ARGS='unit -- -k lock'
SHELL = /bin/sh
PLAY = @scripts/bootstrap controller ansible-playbook
DEV = @scripts/bootstrap dev

.DEFAULT_GOAL = help
.PHONY: help up down reset verify status doctor support_bundle upgrade upgrade_postgresql backup restore drill audit rotate garbage test lint format build lock clean

help: ## list the targets
	@sed -n 's/^\([a-z_]*\):.*## \(.*\)/  make \1@\2/p' Makefile | while IFS=@ read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

up: ## install or update the platform on this machine; a second run changes nothing
	$(PLAY) site.yml $(MLOPS_ARGS) $(ARGS)

down: ## stop the platform; data and configuration stay
	$(PLAY) playbooks/down.yml $(MLOPS_ARGS) $(ARGS)

reset: ## remove the platform with its data, after a typed confirmation
	$(PLAY) playbooks/reset.yml $(MLOPS_ARGS) $(ARGS)

verify: ## prove that the running platform works
	$(PLAY) playbooks/verify.yml $(MLOPS_ARGS) $(ARGS)

status: ## show what runs, where, and how to reach it
	$(PLAY) playbooks/status.yml $(MLOPS_ARGS) $(ARGS)

doctor: ## say what is wrong, each finding with what mends it; changes nothing
	$(PLAY) playbooks/doctor.yml $(MLOPS_ARGS) $(ARGS)

support_bundle: ## write findings, logs and settings without secrets as one archive
	$(PLAY) playbooks/support_bundle.yml $(MLOPS_ARGS) $(ARGS)

upgrade: ## upgrade MLflow, with a backup before and a way back
	$(PLAY) playbooks/upgrade.yml $(MLOPS_ARGS) $(ARGS)

upgrade_postgresql: ## copy the databases into a newer major version of PostgreSQL, which the variables name
	$(PLAY) playbooks/upgrade_postgresql.yml $(MLOPS_ARGS) $(ARGS)

backup: ## take a backup now, and verify it
	$(PLAY) playbooks/backup.yml $(MLOPS_ARGS) $(ARGS)

restore: ## restore a backup, after a typed confirmation
	$(PLAY) playbooks/restore.yml $(MLOPS_ARGS) $(ARGS)

drill: ## rehearse a restore beside the running platform, and measure it
	$(PLAY) playbooks/drill.yml $(MLOPS_ARGS) $(ARGS)

audit: ## say which rows lack their objects, and which objects no row names
	$(PLAY) playbooks/audit.yml $(MLOPS_ARGS) $(ARGS)

rotate: ## give passwords, keys and certificates new values while the platform serves
	$(PLAY) playbooks/rotate.yml $(MLOPS_ARGS) $(ARGS)

garbage: ## delete for good what users deleted in MLflow long ago; ARGS=--check says how much
	$(PLAY) playbooks/garbage.yml $(MLOPS_ARGS) $(ARGS)

test: ## run all tests, or those of ARGS: unit lint sanity molecule integration changes cluster
	@tests/run $(or $(ARGS),all)

lint: ## run the linters alone
	@tests/run lint

format: ## bring the Python files into ruff's form
	$(DEV) ruff check --fix .
	$(DEV) ruff format .

build: ## build the collection's archive
	$(DEV) ansible-galaxy collection build --force

lock: ## write the lock files anew; ARGS=--upgrade takes newer versions
	@scripts/lock $(ARGS)

clean: ## remove .venv, the caches and the tests' output, but nothing of the platform
	rm -rf .venv .cache .ansible .pytest_cache .ruff_cache tests/output
