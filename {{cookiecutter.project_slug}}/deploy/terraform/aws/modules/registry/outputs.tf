output "urls" {
  description = "Where images are pushed to, by what they do."
  value = merge(
    { for image, repository in aws_ecr_repository.this : image => repository.repository_url },
    { for image, repository in data.aws_ecr_repository.existing : image => repository.repository_url },
  )
}

output "arns" {
  value = merge(
    { for image, repository in aws_ecr_repository.this : image => repository.arn },
    { for image, repository in data.aws_ecr_repository.existing : image => repository.arn },
  )
}
