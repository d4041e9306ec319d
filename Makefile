# The commands of a checkout: `make demo`, `make test`. What they need is set up below .venv and .tools. Some of it has to be
# installed on the machine, with apt-get: on a terminal, that is asked first.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all test-more check check-docs check-browser check-dashboard check-container check-systemd
.PHONY: fire fire-web check-kubernetes check-versions test-fast dashboard kubernetes bench lock version dist clean
DASHBOARD := grafana/dashboards/smspartner.json

demo: .venv/run  ## run the exporter on a simulated SMS Partner API
	$(BIN)/python -m exporter --demo

test: check .tools/servers  ## lint, types and all Python tests, those with real servers included (most only wait)
	$(BIN)/pytest -n 8 --dist worksteal -m "not browser and not fire"

test-all: test test-more  ## `make test`, and what needs a browser, Node or a container; installs Debian's chromium, podman and systemd

test-more: check-versions check-docs check-browser check-dashboard check-kubernetes check-container check-systemd

check-docs: .venv/dev .tools/servers  ## the shell commands of README and docs, as printed, in a fresh checkout; on ports 9090, 9093 and 10035
	$(BIN)/pytest -rP tests/docs/check_snippets.py

check-browser: .venv/dev  ## the status page in a real browser; installs Debian's chromium where there is none
	tests/bin/get-browser
	$(BIN)/pytest -m browser

check-dashboard: .venv/dev .tools/servers  ## the dashboard in the packages that Grafana publishes, 350 MB; needs Node
	tests/bin/get-node-packages grafana/checks
	$(BIN)/pytest grafana/checks

check-kubernetes: .venv/dev .tools/bin/kustomize  ## build the manifests, and check them against the published schemas; needs Node
	tests/bin/get-node-packages tests/deploy/kubernetes
	$(BIN)/pytest tests/deploy/kubernetes/check_manifests.py

check-container: .venv/dev .tools/container/base.tar .tools/stack/complete  ## build the image, run it and compose.yaml, without a registry; as root or with sudo
	$(BIN)/pytest -rP -m "not fire" tests/deploy/container/check_*.py

check-systemd: .venv/dev .tools/container/systemd.tar  ## let systemd check the unit and run it; as root or with sudo
	tests/deploy/systemd/check-unit
	$(BIN)/pytest tests/deploy/systemd/check_service.py

check-versions: .venv/dev  ## the fast tests with the oldest and the newest versions that pyproject.toml allows
	$(BIN)/pytest -rP tests/deploy/check_versions.py

fire: .venv/dev  ## attack the limit for ten minutes in each of many ways, all at once, and print the table
	rm -rf .fire
	$(BIN)/pytest -n 20 --dist worksteal -m fire tests/stress/test_limit.py; status=$$?; $(BIN)/python -m tests.stress.arrivals; exit $$status

fire-web: .venv/dev .tools/container/base.tar .tools/stack/complete  ## end connections by the thousand, and for ten minutes in containers of 64 MB; as root or with sudo
	$(BIN)/pytest -rP -m fire tests/stress/test_endings.py tests/deploy/container/check_endings.py

test-fast: .venv/dev  ## the tests that start no process
	$(BIN)/pytest -m "not journey and not fire"

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile
	$(BIN)/zizmor --quiet --offline --strict-collection .github
	$(BIN)/check-jsonschema --quiet --builtin-schema=vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema=vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema=vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema=vendor.compose-spec compose.yaml deploy/compose/exporter.yaml

dashboard: .venv/dev  ## write the Grafana dashboard anew
	$(BIN)/python grafana/dashboard.py > $(DASHBOARD).new
	mv $(DASHBOARD).new $(DASHBOARD)

kubernetes:  ## write the PrometheusRule anew
	deploy/kubernetes/write-prometheusrule > deploy/kubernetes/prometheusrule.yaml

bench: .venv/dev .tools/peers/ready  ## measure scrapes and weight side by side with peers, on a machine that does nothing else
	$(BIN)/python -m benchmarks

lock: .venv/dev  ## write the newest versions that pyproject.toml allows into the lock files
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-header --no-emit-index-url --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

version:  ## make version VERSION=1.2.3: the next release's number, wherever it stands
	tests/bin/set-version $(VERSION)

dist: .venv/dev  ## build sdist and wheel of a commit that is ready for release, and install and run both
	tests/bin/check-release
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	DIST=dist $(BIN)/pytest tests/deploy/test_packaging.py

clean:
	rm -rf .venv .tools .browser .fire grafana/checks/node_modules tests/deploy/kubernetes/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	tests/bin/make-venv $(PYTHON)

.venv/run: .venv/bin/python requirements.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	touch $@

.venv/dev: .venv/run requirements-dev.lock pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.tools/servers: tests/bin/get-servers tests/bin/get-prometheus-3 tests/bin/get-from-sid
	tests/bin/get-servers
	tests/bin/get-prometheus-3 || echo "The rules will be tested without Prometheus 3." >&2
	touch $@

.tools/bin/kustomize: tests/bin/get-kustomize tests/bin/get-from-sid
	tests/bin/get-kustomize

.tools/container/base.tar: tests/deploy/container/get-base
	tests/deploy/container/get-base

.tools/stack/complete: tests/deploy/container/get-stack tests/bin/get-from-sid
	tests/deploy/container/get-stack

.tools/container/systemd.tar: tests/deploy/systemd/get-base .tools/container/base.tar
	tests/deploy/systemd/get-base

.tools/peers/ready: benchmarks/bin/get-peers
	benchmarks/bin/get-peers
	touch $@
