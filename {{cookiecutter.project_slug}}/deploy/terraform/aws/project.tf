# What the answers decided.
locals {
  project = "{{ cookiecutter.project_slug }}"
# {% if cookiecutter.serving == "none" %}
  images  = toset(["training"])
  buckets = toset(["data", "models"])
# {% elif cookiecutter.monitoring == "drift" %}
  images  = toset(["serving", "training"])
  buckets = toset(["data", "models", "requests"])
# {% else %}
  images  = toset(["serving", "training"])
  buckets = toset(["data", "models"])
# {% endif %}
}
