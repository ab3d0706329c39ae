output "names" {
  description = "The bucket of each kind, made here or not."
  value       = merge(var.names, { for kind, bucket in aws_s3_bucket.this : kind => bucket.id }, var.existing)
}
