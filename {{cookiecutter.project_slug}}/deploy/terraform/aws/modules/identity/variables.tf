variable "name" { type = string }

variable "issuer" {
  description = "Who signs the tokens of jobs; `make infra-bootstrap` made it known to the account."
  type        = string
}

variable "audience" { type = string }

variable "plan_subjects" {
  description = "Patterns of the jobs that may plan."
  type        = list(string)
}

variable "deploy_subject" {
  description = "The one kind of job that may deploy."
  type        = string
  validation {
    condition     = !strcontains(var.deploy_subject, "*")
    error_message = "Who deploys is named without a wildcard."
  }
}

variable "state_arn" { type = string }
variable "state_key" { type = string }
variable "bucket_arns" {
  type = list(string)
}

variable "repository_arns" {
  type = list(string)
}

variable "kms_key_arn" { type = string }
variable "topic_arn" { type = string }

variable "training" {
  description = "Whether anything is trained, the role that SageMaker takes for it, and what names of jobs begin with."
  type        = object({ is_on = bool, role_arn = string, jobs = string })
}

variable "serving" {
  description = "The ARNs of function, API, keys and the images of staging; null where nothing is served."
  type        = object({ function_arn = string, api_arn = string, secret_arn = string, tried_arn = string })
  default     = null
}
