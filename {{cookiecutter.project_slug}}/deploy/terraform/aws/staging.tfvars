environment        = "staging"
deletable          = true # `make infra-destroy` takes the data with it
log_retention_days = 365
budget_usd         = 50
