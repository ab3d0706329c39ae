variable "environment" {
  description = "Which of the environments this is."
  type        = string
  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "There are staging.tfvars and production.tfvars."
  }
}

variable "deletable" {
  description = "Whether destroying also deletes buckets and repositories that are not empty, and secrets at once."
  type        = bool
  default     = false
}

# Something that exists already takes the place of what would be made here.

variable "existing_kms_key_arn" {
  description = "A key whose policy lets CloudWatch, its logs and budgets use it; empty makes one."
  type        = string
  default     = ""
}

variable "existing_buckets" {
  description = "Names of buckets by what they hold: data, models."
  type        = map(string)
  default     = {}
  validation {
    condition     = length(setsubtract(keys(var.existing_buckets), ["data", "models"])) == 0
    error_message = "A bucket holds data or models."
  }
}

variable "existing_repositories" {
  description = "Names of ECR repositories by what their image does: serving, training."
  type        = map(string)
  default     = {}
  validation {
    condition     = length(setsubtract(keys(var.existing_repositories), ["serving", "training"])) == 0
    error_message = "A repository is for serving or training."
  }
}

variable "existing_training_role_arn" {
  description = "A role that SageMaker may take; empty makes one."
  type        = string
  default     = ""
}

variable "existing_topic_arn" {
  description = "An SNS topic that hears of alarms and costs; empty makes one."
  type        = string
  default     = ""
}

# Parts that can be switched off.

variable "has_training" {
  description = "Whether SageMaker trains."
  type        = bool
  default     = true
}

variable "budget_usd" {
  description = "What the account may cost a month before somebody is told; 0 is no budget."
  type        = number
  default     = 50
}

variable "alarm_email" {
  description = "Who is told of alarms and costs; empty subscribes nobody."
  type        = string
  default     = ""
}
