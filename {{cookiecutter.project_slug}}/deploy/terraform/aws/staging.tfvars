environment = "staging"
deletable   = true # `make infra-destroy` takes the data with it
budget_usd  = 50
