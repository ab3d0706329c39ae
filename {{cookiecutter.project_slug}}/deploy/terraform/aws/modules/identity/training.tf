resource "aws_iam_role_policy" "deploy_training" {
  count = var.training.is_on ? 1 : 0
  name  = "training"
  role  = aws_iam_role.this["deploy"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Jobs"
        Effect = "Allow"
        Action = [
          "sagemaker:AddTags", "sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob", "sagemaker:DescribeProcessingJob",
          "sagemaker:DescribeTrainingJob", "sagemaker:StopProcessingJob", "sagemaker:StopTrainingJob",
        ]
        Resource = ["${local.arn}:sagemaker:${local.here}:training-job/${var.training.jobs}-*", "${local.arn}:sagemaker:${local.here}:processing-job/${var.training.jobs}-*"]
      },
      {
        Sid       = "RoleOfJobs"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = var.training.role_arn
        Condition = { StringEquals = { "iam:PassedToService" = "sagemaker.amazonaws.com" } }
      },
      {
        Sid      = "LogsOfJobs"
        Effect   = "Allow"
        Action   = ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"]
        Resource = ["${local.arn}:logs:${local.here}:log-group:/aws/sagemaker/TrainingJobs:*", "${local.arn}:logs:${local.here}:log-group:/aws/sagemaker/ProcessingJobs:*"]
      },
    ]
  })
}
