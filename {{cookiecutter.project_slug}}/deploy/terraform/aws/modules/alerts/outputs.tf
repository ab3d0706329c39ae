output "topic_arn" {
  value = local.topic_arn
}
