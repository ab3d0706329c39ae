data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  alias        = "live"
  has_function = var.image_uri != ""
  function_arn = "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:function:${var.name}"
}

# Its value is made by `make infra-apply`, so that neither a plan nor the state ever knows a key.
resource "aws_secretsmanager_secret" "api_keys" {
  # checkov:skip=CKV2_AWS_57: clients hold the keys, so only people can change them: two keys for a while, then one
  name                    = "${var.name}-api-keys"
  description             = "Who may ask for predictions: keys, separated by commas"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.deletable ? 0 : 30
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "function" {
  name = "${var.name}-function"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  name = "function"
  role = aws_iam_role.function.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.function.arn}:*"
      },
      { Sid = "ApiKeys", Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = aws_secretsmanager_secret.api_keys.arn },
      { Sid = "Encrypted", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = var.kms_key_arn },
    ]
  })
}

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_50: tracing wants a right on every resource of the account
  # checkov:skip=CKV_AWS_115: a new account has too few executions to reserve any; reserved_concurrency is a setting
  # checkov:skip=CKV_AWS_116: it is never called asynchronously, so there is nothing to keep for later
  # checkov:skip=CKV_AWS_117: it asks nothing but AWS's own addresses, and in a VPC that would cost a gateway
  # checkov:skip=CKV_AWS_272: Lambda signs no images; which one runs is told by its digest
  count                          = local.has_function ? 1 : 0
  function_name                  = var.name
  role                           = aws_iam_role.function.arn
  package_type                   = "Image"
  image_uri                      = var.image_uri
  memory_size                    = var.memory_mb
  timeout                        = 29 # an HTTP API waits for 30
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn
  publish                        = true
  depends_on                     = [aws_iam_role_policy.function, aws_cloudwatch_log_group.function]

  environment {
    variables = { API_KEYS_SECRET = aws_secretsmanager_secret.api_keys.arn }
  }

  lifecycle {
    ignore_changes = [image_uri, description] # which one runs is `make deploy`'s
  }
}

resource "aws_lambda_alias" "live" {
  count            = local.has_function ? 1 : 0
  name             = local.alias
  function_name    = aws_lambda_function.this[0].function_name
  function_version = aws_lambda_function.this[0].version

  lifecycle {
    ignore_changes = [function_version, routing_config] # so is which version answers
  }
}

resource "aws_lambda_permission" "api" {
  count         = local.has_function ? 1 : 0
  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this[0].function_name
  qualifier     = aws_lambda_alias.live[0].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*"
}

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_stage" "default" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    detailed_metrics_enabled = true
    throttling_rate_limit    = var.requests_per_second
    throttling_burst_limit   = var.requests_per_second * 2
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      id      = "$context.requestId"
      at      = "$context.requestTime"
      method  = "$context.httpMethod"
      path    = "$context.path"
      status  = "$context.status"
      ms      = "$context.responseLatency"
      address = "$context.identity.sourceIp"
      error   = "$context.integrationErrorMessage"
    })
  }
}

resource "aws_apigatewayv2_integration" "function" {
  count                  = local.has_function ? 1 : 0
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_alias.live[0].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "default" {
  # checkov:skip=CKV_AWS_309: the API itself asks for a key, so that it does so wherever it runs
  count              = local.has_function ? 1 : 0
  api_id             = aws_apigatewayv2_api.this.id
  route_key          = "$default"
  authorization_type = "NONE"
  target             = "integrations/${aws_apigatewayv2_integration.function[0].id}"
}

# A minute with more than so many is an alarm, and ends a deploy that is under way.
resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = {
    errors   = { metric = "5xx", statistic = "Sum", threshold = 2, minutes = 1 }
    slowness = { metric = "Latency", statistic = "p99", threshold = 3000, minutes = 5 }
  }
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.metric} of ${var.name}: ${each.value.statistic} above ${each.value.threshold} in a minute"
  namespace           = "AWS/ApiGateway"
  metric_name         = each.value.metric
  dimensions          = { ApiId = aws_apigatewayv2_api.this.id }
  statistic           = each.value.statistic == "Sum" ? "Sum" : null
  extended_statistic  = each.value.statistic == "Sum" ? null : each.value.statistic
  period              = 60
  evaluation_periods  = each.value.minutes
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}
