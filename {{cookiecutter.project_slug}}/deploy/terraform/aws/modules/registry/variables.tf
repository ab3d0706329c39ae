variable "name" { type = string }

variable "images" {
  description = "What there is an image for: training, and serving."
  type        = set(string)
}

variable "existing" {
  description = "Names of repositories that exist already, by what their image does."
  type        = map(string)
}

variable "kms_key_arn" { type = string }
variable "deletable" { type = bool }
