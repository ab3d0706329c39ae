environment = "production"
deletable   = false
budget_usd  = 200
