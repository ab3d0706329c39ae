output "api_url" {
  value = aws_apigatewayv2_api.this.api_endpoint
}

output "api_arn" {
  value = aws_apigatewayv2_api.this.arn
}

output "api_keys_secret_arn" {
  value = aws_secretsmanager_secret.api_keys.arn
}

output "alarm_name" {
  description = "The alarm that a deploy watches."
  value       = aws_cloudwatch_metric_alarm.this["errors"].alarm_name
}

output "function_arn" {
  description = "The function's address, which is known before there is one."
  value       = local.function_arn
}
