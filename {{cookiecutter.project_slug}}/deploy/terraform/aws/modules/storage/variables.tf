variable "names" {
  description = "Names of the buckets by what they hold."
  type        = map(string)
}

variable "existing" {
  description = "Names of buckets that exist already, by what they hold."
  type        = map(string)
}

variable "kms_key_arn" { type = string }
variable "deletable" { type = bool }
