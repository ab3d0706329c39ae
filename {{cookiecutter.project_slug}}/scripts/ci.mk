# What the jobs of CI run besides the other targets; each works on a laptop, too.
.PHONY: candidate fetch keep secrets audit
# Data, train, evaluate: what `report` and `promote` judge.
candidate:
# {% if cookiecutter.data_versioning == "dvc" %}
	@$(POINT)
	$(RUN) dvc repro
# {% else %}
	$(MAKE) data train evaluate
# {% endif %}

# {% if cookiecutter.data_versioning == "dvc" %}
# In CI: pull; DATA_CREDENTIALS, if it is set, becomes .dvc/config.local.
fetch:
	@[ -z "$$DATA_CREDENTIALS" ] || (umask 077 && printf '%s\n' "$$DATA_CREDENTIALS" > .dvc/config.local)
	$(RUN) dvc pull

# In CI: push, so that `fetch` finds it.
keep: push
# {% else %}
# In CI: the models that the last training kept.
fetch:
	scripts/fetch_models.sh

# In CI: build/models.tar, the artifact in which `fetch` finds the models.
keep:
	mkdir -p build
	tar -cf build/models.tar models/latest models/versioned
# {% endif %}

# Look for secrets in what git keeps; hashes are none.
secrets:
	$(RUN) prek run --all-files secrets

# {% if cookiecutter.ci == "gitlab" %}
.PHONY: metrics
# Write the metrics of the test rows as GitLab shows them in a merge request.
metrics:
	@$(RUN) python -c 'import json; [print(f"test_{name}", value) for name, value in json.load(open("reports/metrics.json"))["metrics"]["test"].items()]' > reports/metrics.txt

# {% endif %}
# Look for known vulnerabilities of the packages in uv.lock.
audit: uv.lock
	$(UV) export --quiet --frozen --all-extras --no-emit-project | env -u UV_ENV_FILE $(UV) tool run pip-audit@2.10.1 --disable-pip --requirement /dev/stdin
# {% if cookiecutter.containers == "none" %}

uv.lock:
	@echo "error: uv.lock is not here; run make setup." >&2; exit 1
# {% endif %}
# {% if cookiecutter.ci == "github" %}

.PHONY: pythons
# The Pythons that CI tests with.
pythons:
# {% if cookiecutter.python_version == "3.11" %}
	@echo 3.11 3.12 3.13
# {% elif cookiecutter.python_version == "3.12" %}
	@echo 3.12 3.13
# {% else %}
	@echo 3.13
# {% endif %}
# {% endif %}
# {% if cookiecutter.containers != "none" %}

.PHONY: images
# Every image, the API's without a model.
images: image-training
# {% if cookiecutter.serving != "none" %}
	$(MAKE) image MODEL=mounted

.PHONY: smoke
# Start IMAGE, an image of the API, and ask it for a prediction, with a key and without.
smoke:
	scripts/smoke_test.sh "$(IMAGE)"
# {% endif %}
# {% endif %}
# {% if cookiecutter.monitoring == "drift" %}

.PHONY: drift-report
# Monitor; drift, which is no failure here, leaves what was found in reports/drift.txt.
drift-report:
	@mkdir -p reports; rm -f reports/drift.txt; $(CLI) monitor $(if $(TABLE),--table "$(TABLE)") > reports/drift.out; \
	code=$$?; cat reports/drift.out; [ $$code -ne 3 ] || { mv reports/drift.out reports/drift.txt; exit 0; }; \
	rm -f reports/drift.out; exit $$code
# {% endif %}
