variable "image_uri" {
  description = "The image that the function is made with, as repository@sha256:…; empty makes none yet. Later images are `make deploy`'s."
  type        = string
  default     = ""
}

variable "memory_mb" {
  description = "Memory of the function; with 1769 it has a whole core."
  type        = number
  default     = 1769
}

variable "reserved_concurrency" {
  description = "How many requests are answered at once at most, kept free for this function; -1 reserves none."
  type        = number
  default     = -1
}

variable "requests_per_second" {
  description = "How many requests a second are let in, and in a moment twice as many; others hear 429."
  type        = number
  default     = 50
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365
}

module "serving" {
  source               = "./modules/serving"
  name                 = local.name
  image_uri            = var.image_uri
  memory_mb            = var.memory_mb
  reserved_concurrency = var.reserved_concurrency
  requests_per_second  = var.requests_per_second
  log_retention_days   = var.log_retention_days
  topic_arn            = module.alerts.topic_arn
  kms_key_arn          = local.key_arn
  deletable            = var.deletable
  depends_on           = [module.registry] # whose policy lets Lambda fetch the image
}
