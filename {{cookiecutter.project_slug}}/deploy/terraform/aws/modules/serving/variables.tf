variable "name" { type = string }
variable "image_uri" { type = string }
variable "memory_mb" { type = number }
variable "reserved_concurrency" { type = number }
variable "requests_per_second" { type = number }

variable "log_retention_days" { type = number }
variable "topic_arn" { type = string }
variable "kms_key_arn" { type = string }
variable "deletable" { type = bool }
