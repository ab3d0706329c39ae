environment        = "production"
deletable          = false
log_retention_days = 365
budget_usd         = 200
