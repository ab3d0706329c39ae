# What runs on AWS.
ENVIRONMENT ?= staging
# {% if cookiecutter.cloud == "aws" %}
INFRASTRUCTURE = $(RUN) python -m deploy.aws.terraform
# {% else %}
INFRASTRUCTURE = $(RUN) python -m deploy.aws.stack
# {% endif %}
WHERE = --environment $(ENVIRONMENT)
WHAT = $(if $(IMAGE_URI),--image-uri $(IMAGE_URI))
APPROVED = $(if $(filter yes,$(APPROVE)),--approve)
export DOCKER

.PHONY: infra-bootstrap infra-plan infra-apply infra-outputs infra-destroy infra-check
infra-bootstrap: ## make what all environments of the AWS account share, once
	$(INFRASTRUCTURE) bootstrap

infra-plan: ## show what infra-apply would change; ENVIRONMENT=production is the other one
	$(INFRASTRUCTURE) plan $(WHERE) $(WHAT)

infra-apply: ## build it on AWS and write deploy/outputs; APPROVE=yes asks nobody
	$(INFRASTRUCTURE) apply $(WHERE) $(WHAT) $(APPROVED)

infra-outputs: ## write deploy/outputs of what somebody else built
	$(INFRASTRUCTURE) outputs $(WHERE)

infra-destroy: ## take it down
	$(INFRASTRUCTURE) destroy $(WHERE) $(APPROVED)

infra-check: ## format, types and tests of its files; needs no account
	$(INFRASTRUCTURE) check
# {% if cookiecutter.data_versioning == "dvc" %}

.PHONY: dvc-remote
dvc-remote: ## make the bucket DVC's remote
	$(RUN) python -m deploy.aws.dvc_remote $(WHERE)
# {% endif %}

.PHONY: push-images train-cloud predict-cloud
push-images: ## build the images and send those to ECR that it lacks
	$(RUN) python -m deploy.aws.push $(WHERE)

train-cloud: ## train a candidate on SageMaker, then evaluate and promote it here
# {% if cookiecutter.data_versioning == "dvc" %}
	@$(POINT)
# {% endif %}
	$(CLI) data
	$(RUN) python -m deploy.aws.training $(WHERE)
	$(CLI) evaluate
# {% if cookiecutter.data_versioning == "dvc" %}
	$(RUN) dvc commit --force --quiet
# {% endif %}
	$(CLI) promote
# {% if cookiecutter.data_versioning == "dvc" %}
	@$(POINT)
# {% endif %}

predict-cloud: ## score INPUT=file into OUTPUT=file on SageMaker
	$(RUN) python -m deploy.aws.batch $(if $(INPUT),"$(INPUT)") --output "$(OUTPUT)" $(WHERE)
# {% if cookiecutter.serving != "none" %}

.PHONY: deploy deploy-rollback
deploy: ## put models/latest on Lambda, by a canary unless CANARY=no; IMAGE=… takes another environment's image
	$(RUN) python -m deploy.aws.deploy $(WHERE) $(if $(IMAGE),--image $(IMAGE)) $(if $(filter no,$(CANARY)),--no-canary)

deploy-rollback: ## let the version answer that did before the last deploy
	$(RUN) python -m deploy.aws.rollback $(WHERE)
# {% endif %}
