variable "repository" {
  description = "Whose jobs may take the roles of CI, as owner/name; empty makes no role."
  type        = string
  default     = ""
}

variable "deploy_subject" {
  description = "The subject of the token of a job that deploys, where it is another than usual."
  type        = string
  default     = ""
}

# {% if cookiecutter.ci == "gitlab" %}
locals {
  issuer         = "gitlab.com" # or the host of your own GitLab, here and in deploy/aws/bootstrap.yaml
  audience       = "https://gitlab.com"
  plan_subjects  = ["project_path:${var.repository}:ref_type:branch:ref:*"]
  deploy_subject = "project_path:${var.repository}:ref_type:branch:ref:main"
}
# {% else %}
locals {
  issuer         = "token.actions.githubusercontent.com"
  audience       = "sts.amazonaws.com"
  plan_subjects  = ["repo:${var.repository}:pull_request", "repo:${var.repository}:ref:refs/heads/*"]
  deploy_subject = "repo:${var.repository}:environment:${var.environment}"
}
# {% endif %}

module "identity" {
  count           = var.repository == "" ? 0 : 1
  source          = "./modules/identity"
  name            = local.name
  issuer          = local.issuer
  audience        = local.audience
  plan_subjects   = local.plan_subjects
  deploy_subject  = var.deploy_subject == "" ? local.deploy_subject : var.deploy_subject
  state_arn       = "arn:${local.partition}:s3:::${local.bucket_prefix}-state-${local.account}"
  state_key       = "${var.environment}.tfstate"
  bucket_arns     = values(local.bucket_arns)
  repository_arns = values(module.registry.arns)
  kms_key_arn     = local.key_arn
  topic_arn       = module.alerts.topic_arn
  training        = { is_on = var.has_training, role_arn = local.training_role_arn, jobs = replace(local.project, "_", "-") }
# {% if cookiecutter.serving != "none" %}
  serving = {
    function_arn = module.serving.function_arn
    api_arn      = module.serving.api_arn
    secret_arn   = module.serving.api_keys_secret_arn
    tried_arn    = "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/${local.project}-staging/serving"
  }
# {% endif %}
}
