locals {
  training_role_arn = !var.has_training ? "" : var.existing_training_role_arn != "" ? var.existing_training_role_arn : module.training[0].role_arn
}

# `make infra-apply` writes it to deploy/outputs, where every other command reads it.
output "summary" {
  value = {
    region                  = local.region
    account_id              = local.account
    environment             = var.environment
    data_bucket             = module.storage.names["data"]
    models_bucket           = module.storage.names["models"]
    training_repository_url = module.registry.urls["training"]
    training_role_arn       = local.training_role_arn
# {% if cookiecutter.serving != "none" %}
    serving_repository_url  = module.registry.urls["serving"]
    function_name           = local.name
    function_alias          = "live"
    api_url                 = module.serving.api_url
    api_keys_secret_arn     = module.serving.api_keys_secret_arn
    alarm_name              = module.serving.alarm_name
# {% endif %}
# {% if cookiecutter.ci == "none" %}
    deploy_role_arn         = ""
    plan_role_arn           = ""
# {% else %}
    deploy_role_arn         = try(module.identity[0].deploy_role_arn, "")
    plan_role_arn           = try(module.identity[0].plan_role_arn, "")
# {% endif %}
  }
}
# {% if cookiecutter.serving != "none" %}

# So that the next apply knows which image the function was made with.
output "image_uri" {
  value = var.image_uri
}
# {% endif %}

output "deletable" {
  value = var.deletable
}
