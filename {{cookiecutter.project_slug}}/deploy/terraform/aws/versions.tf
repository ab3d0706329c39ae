terraform {
  required_version = ">= 1.11.0, < 2.0.0" # 1.11 locks the state in S3 by itself

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # Bucket, key and region are given by `make infra-plan` and `make infra-apply`.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

# Region and credentials are those of the environment, as for every AWS tool.
provider "aws" {
  default_tags {
    tags = {
      Project     = local.project
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}
