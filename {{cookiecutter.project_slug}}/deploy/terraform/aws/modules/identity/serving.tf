resource "aws_iam_role_policy" "plan_serving" {
  count = var.serving == null ? 0 : 1
  name  = "serving"
  role  = aws_iam_role.this["plan"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Function"
        Effect   = "Allow"
        Action   = ["lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConfiguration", "lambda:GetAlias", "lambda:GetPolicy", "lambda:ListVersionsByFunction", "lambda:ListTags"]
        Resource = [var.serving.function_arn, "${var.serving.function_arn}:*"]
      },
      { Sid = "Api", Effect = "Allow", Action = "apigateway:GET", Resource = [var.serving.api_arn, "${var.serving.api_arn}/*"] },
      {
        Sid      = "NamesOfSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"]
        Resource = var.serving.secret_arn
      },
      {
        Sid      = "TagsOfLogs"
        Effect   = "Allow"
        Action   = "logs:ListTagsForResource"
        Resource = ["${local.arn}:logs:${local.here}:log-group:/aws/lambda/${var.name}*", "${local.arn}:logs:${local.here}:log-group:/aws/apigateway/${var.name}*"]
      },
    ]
  })
}

resource "aws_iam_role_policy" "deploy_serving" {
  count = var.serving == null ? 0 : 1
  name  = "serving"
  role  = aws_iam_role.this["deploy"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Versions"
        Effect = "Allow"
        Action = [
          "lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:InvokeFunction",
          "lambda:ListVersionsByFunction", "lambda:PublishVersion", "lambda:UpdateAlias", "lambda:UpdateFunctionCode",
        ]
        Resource = [var.serving.function_arn, "${var.serving.function_arn}:*"]
      },
      {
        # What was tried in staging is copied from there, not built again.
        Sid      = "TriedImages"
        Effect   = "Allow"
        Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = var.serving.tried_arn
      },
      { Sid = "KeyForTheSmokeTest", Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = var.serving.secret_arn },
      {
        Sid      = "Alarms"
        Effect   = "Allow"
        Action   = "cloudwatch:DescribeAlarms"
        Resource = "${local.arn}:cloudwatch:${local.here}:alarm:${var.name}-*"
      },
    ]
  })
}
