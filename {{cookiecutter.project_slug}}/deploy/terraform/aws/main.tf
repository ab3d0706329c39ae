data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  name      = "${local.project}-${var.environment}"
  buckets   = toset(["data", "models"])
  key_arn   = var.existing_kms_key_arn != "" ? var.existing_kms_key_arn : aws_kms_key.main[0].arn

  # A bucket's name has at most 63 characters and no underscore.
  bucket_prefix = trim(substr(replace(local.project, "_", "-"), 0, 28), "-")

  bucket_arns = {
    for kind in local.buckets : kind => "arn:${local.partition}:s3:::${module.storage.names[kind]}"
  }
}

resource "aws_kms_key" "main" {
  count                   = var.existing_kms_key_arn == "" ? 1 : 0
  description             = "All that ${local.name} stores"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletable ? 7 : 30

  # In a key's policy, the resource * is this key.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAccountDecidesByItsOwnPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:*${local.name}*" }
        }
      },
      {
        Sid       = "AlarmsAndCosts"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_kms_alias" "main" {
  count         = length(aws_kms_key.main)
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.main[0].key_id
}

module "storage" {
  source      = "./modules/storage"
  names       = { for kind in local.buckets : kind => "${local.bucket_prefix}-${var.environment}-${local.account}-${kind}" }
  existing    = var.existing_buckets
  kms_key_arn = local.key_arn
  deletable   = var.deletable
}

module "registry" {
  source      = "./modules/registry"
  name        = local.name
  images      = local.images
  existing    = var.existing_repositories
  kms_key_arn = local.key_arn
  deletable   = var.deletable
}

module "training" {
  count          = var.has_training && var.existing_training_role_arn == "" ? 1 : 0
  source         = "./modules/training"
  name           = local.name
  repository_arn = module.registry.arns["training"]
  data_arn       = local.bucket_arns["data"]
  models_arn     = local.bucket_arns["models"]
  kms_key_arn    = local.key_arn
}

module "alerts" {
  source             = "./modules/alerts"
  name               = local.name
  existing_topic_arn = var.existing_topic_arn
  email              = var.alarm_email
  budget_usd         = var.budget_usd
  kms_key_arn        = local.key_arn
}
