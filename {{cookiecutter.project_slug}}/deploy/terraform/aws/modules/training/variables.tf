variable "name" { type = string }
variable "repository_arn" { type = string }
variable "data_arn" { type = string }
variable "models_arn" { type = string }
variable "kms_key_arn" { type = string }
