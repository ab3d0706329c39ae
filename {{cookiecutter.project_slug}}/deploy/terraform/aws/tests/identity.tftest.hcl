mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  name            = "penguins-staging"
  issuer          = "token.example.org"
  audience        = "sts"
  plan_subjects   = ["repo:acme/penguins:pull_request"]
  deploy_subject  = "repo:acme/penguins:environment:staging"
  state_arn       = "arn:aws:s3:::state"
  state_key       = "staging.tfstate"
  bucket_arns     = ["arn:aws:s3:::data"]
  repository_arns = ["arn:aws:ecr:eu-central-1:123456789012:repository/training"]
  kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/ours"
  topic_arn       = "arn:aws:sns:eu-central-1:123456789012:alarms"
  training        = { is_on = false, role_arn = "", jobs = "penguins" }
}

run "trusts_one_repository_and_environment" {
  command = plan
  module {
    source = "./modules/identity"
  }
  assert {
    condition     = jsondecode(aws_iam_role.this["deploy"].assume_role_policy).Statement[0].Condition.StringLike["token.example.org:sub"] == ["repo:acme/penguins:environment:staging"]
    error_message = "Others may deploy."
  }
  assert {
    condition     = length(aws_iam_role_policy.deploy_serving) == 0 && length(aws_iam_role_policy.deploy_training) == 0
    error_message = "A right for something that is not there."
  }
}

run "lets_no_pattern_deploy" {
  command = plan
  module {
    source = "./modules/identity"
  }
  variables {
    deploy_subject = "repo:acme/*"
  }
  expect_failures = [var.deploy_subject]
}
