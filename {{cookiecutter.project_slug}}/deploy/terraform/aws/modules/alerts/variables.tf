variable "name" { type = string }
variable "existing_topic_arn" { type = string }
variable "email" { type = string }
variable "budget_usd" { type = number }
variable "kms_key_arn" { type = string }
