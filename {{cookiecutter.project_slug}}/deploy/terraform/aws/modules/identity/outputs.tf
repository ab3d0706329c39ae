output "plan_role_arn" {
  value = aws_iam_role.this["plan"].arn
}

output "deploy_role_arn" {
  value = aws_iam_role.this["deploy"].arn
}
