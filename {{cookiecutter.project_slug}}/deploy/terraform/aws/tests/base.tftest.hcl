# No account is asked: `make infra-check`.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_data "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:eu-central-1:123456789012:repository/ours", repository_url = "ours" }
  }
}

variables {
  environment = "staging"
}

run "makes_every_part_by_itself" {
  command = plan
  assert {
    condition     = length(aws_kms_key.main) == 1 && length(module.training) == 1
    error_message = "A part that nobody switched off is missing."
  }
  assert {
    condition     = alltrue([for name in values(module.storage.names) : length(name) <= 63])
    error_message = "A bucket's name has at most 63 characters."
  }
}

run "points_at_what_exists" {
  command = plan
  variables {
    existing_kms_key_arn       = "arn:aws:kms:eu-central-1:123456789012:key/ours"
    existing_buckets           = { data = "our-data" }
    existing_repositories      = { training = "ours" }
    existing_training_role_arn = "arn:aws:iam::123456789012:role/ours"
    existing_topic_arn         = "arn:aws:sns:eu-central-1:123456789012:ours"
  }
  assert {
    condition     = length(aws_kms_key.main) == 0 && length(module.training) == 0
    error_message = "Something was made although it exists."
  }
  assert {
    condition     = module.storage.names["data"] == "our-data" && module.registry.urls["training"] == "ours"
    error_message = "What exists is not used."
  }
  assert {
    condition     = output.summary.training_role_arn == "arn:aws:iam::123456789012:role/ours"
    error_message = "The outputs do not name the role that exists."
  }
}

run "trains_nothing_where_that_is_off" {
  command = plan
  variables {
    has_training = false
    budget_usd   = 0
  }
  assert {
    condition     = length(module.training) == 0 && output.summary.training_role_arn == ""
    error_message = "Training was switched off."
  }
}

run "knows_its_environments" {
  command = plan
  variables {
    environment = "qa"
  }
  expect_failures = [var.environment]
}

run "keeps_nothing_unencrypted_or_public" {
  command = plan
  module {
    source = "./modules/storage"
  }
  variables {
    names       = { data = "data", models = "models" }
    existing    = {}
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/ours"
    deletable   = false
  }
  assert {
    condition     = alltrue([for each in aws_s3_bucket_versioning.this : each.versioning_configuration[0].status == "Enabled"])
    error_message = "A bucket has no versions."
  }
  assert {
    condition     = alltrue([for each in aws_s3_bucket_public_access_block.this : each.block_public_policy && each.restrict_public_buckets])
    error_message = "A bucket may become public."
  }
  assert {
    condition     = !anytrue([for each in aws_s3_bucket.this : each.force_destroy])
    error_message = "Destroying would take the data with it."
  }
}
