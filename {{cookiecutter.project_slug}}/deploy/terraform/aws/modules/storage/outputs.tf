output "names" {
  description = "The bucket of each kind, made here or not."
  value       = merge({ for kind, bucket in aws_s3_bucket.this : kind => bucket.bucket }, var.existing)
}
