mock_provider "aws" {}

variables {
  name                 = "penguins-staging"
  image_uri            = ""
  memory_mb            = 1769
  reserved_concurrency = -1
  requests_per_second  = 50
  log_retention_days   = 30
  topic_arn            = "arn:aws:sns:eu-central-1:123456789012:alarms"
  kms_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/ours"
  deletable            = false
}

run "has_an_address_before_there_is_an_image" {
  command = plan
  module {
    source = "./modules/serving"
  }
  assert {
    condition     = length(aws_lambda_function.this) == 0 && length(aws_apigatewayv2_route.default) == 0
    error_message = "A function cannot be without an image."
  }
}

run "answers_once_there_is_one" {
  command = plan
  module {
    source = "./modules/serving"
  }
  variables {
    image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/penguins@sha256:0"
  }
  assert {
    condition     = aws_lambda_alias.live[0].name == "live" && aws_lambda_permission.api[0].qualifier == "live"
    error_message = "The API asks another version than that of the alias."
  }
  assert {
    condition     = !contains(keys(aws_lambda_function.this[0].environment[0].variables), "API_KEYS")
    error_message = "A key is in the function's settings, where whoever may read those finds it."
  }
}
