data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account  = data.aws_caller_identity.current.account_id
  iam      = "arn:${data.aws_partition.current.partition}:iam::${local.account}"
  here     = "${data.aws_region.current.name}:${local.account}"
  arn      = "arn:${data.aws_partition.current.partition}"
  subjects = { plan = var.plan_subjects, deploy = [var.deploy_subject] }
}

resource "aws_iam_role" "this" {
  # checkov:skip=CKV_AWS_393: it reads the default, no repository, with which there is no role either
  for_each             = local.subjects
  name                 = "${var.name}-${each.key}"
  max_session_duration = each.key == "deploy" ? 14400 : 3600 # a training that is watched takes a while
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = "${local.iam}:oidc-provider/${var.issuer}" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = { "${var.issuer}:aud" = var.audience }
        StringLike   = { "${var.issuer}:sub" = each.value }
      }
    }]
  })
}

# Reads what a plan compares, and nothing of what is stored.
resource "aws_iam_role_policy" "plan" {
  name = "plan"
  role = aws_iam_role.this["plan"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "State", Effect = "Allow", Action = "s3:GetObject", Resource = "${var.state_arn}/${var.state_key}" },
      {
        Sid      = "Stores"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetAccelerateConfiguration", "s3:GetReplicationConfiguration"]
        Resource = concat([var.state_arn], var.bucket_arns)
      },
      {
        Sid      = "Repositories"
        Effect   = "Allow"
        Action   = ["ecr:DescribeRepositories", "ecr:DescribeImages", "ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy", "ecr:ListTagsForResource"]
        Resource = var.repository_arns
      },
      {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
        Resource = var.kms_key_arn
      },
      {
        Sid      = "Roles"
        Effect   = "Allow"
        Action   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"]
        Resource = "${local.iam}:role/${var.name}-*"
      },
      {
        Sid      = "Alarms"
        Effect   = "Allow"
        Action   = ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"]
        Resource = "${local.arn}:cloudwatch:${local.here}:alarm:*"
      },
      {
        Sid      = "Topic"
        Effect   = "Allow"
        Action   = ["sns:GetTopicAttributes", "sns:ListTagsForResource", "sns:GetSubscriptionAttributes"]
        Resource = var.topic_arn
      },
      {
        Sid      = "Budget"
        Effect   = "Allow"
        Action   = ["budgets:ViewBudget", "budgets:ListTagsForResource"]
        Resource = "${local.arn}:budgets::${local.account}:budget/${var.name}-*"
      },
      {
        # Lists have no resource that a policy could name.
        Sid      = "Lists"
        Effect   = "Allow"
        Action   = ["kms:ListAliases", "logs:DescribeLogGroups"]
        Resource = "*"
      },
    ]
  })
}

# Brings images, trains, and says which version answers. What there is to deploy to, it cannot change.
resource "aws_iam_role_policy" "deploy" {
  name = "deploy"
  role = aws_iam_role.this["deploy"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "State", Effect = "Allow", Action = "s3:GetObject", Resource = "${var.state_arn}/${var.state_key}" },
      {
        Sid      = "FindStored"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
        Resource = concat([var.state_arn], var.bucket_arns)
      },
      {
        Sid      = "Stored"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
        Resource = [for arn in var.bucket_arns : "${arn}/*"]
      },
      { Sid = "Encrypted", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = var.kms_key_arn },
      {
        # A token is for the account's whole registry: AWS takes no narrower resource.
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid    = "Images"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = var.repository_arns
      },
    ]
  })
}
