data "aws_caller_identity" "current" {}

locals {
  topic_arn = var.existing_topic_arn != "" ? var.existing_topic_arn : aws_sns_topic.this[0].arn
}

resource "aws_sns_topic" "this" {
  count             = var.existing_topic_arn == "" ? 1 : 0
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "this" {
  count = length(aws_sns_topic.this)
  arn   = aws_sns_topic.this[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsAndCosts"
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.this[0].arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.email == "" ? 0 : 1
  topic_arn = local.topic_arn
  protocol  = "email"
  endpoint  = var.email
}

# Of the whole account: a budget by tag counts nothing until somebody activates the tag for billing.
resource "aws_budgets_budget" "monthly" {
  count        = var.budget_usd > 0 ? 1 : 0
  name         = "${var.name}-monthly"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = format("%.1f", var.budget_usd)
  limit_unit   = "USD"
  depends_on   = [aws_sns_topic_policy.this]

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type         = notification.key
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      comparison_operator       = "GREATER_THAN"
      subscriber_sns_topic_arns = [local.topic_arn]
    }
  }
}
