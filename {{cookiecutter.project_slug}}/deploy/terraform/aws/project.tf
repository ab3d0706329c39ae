# What the answers decided.
locals {
  project = "{{ cookiecutter.project_slug }}"
# {% if cookiecutter.serving == "none" %}
  images  = toset(["training"])
# {% else %}
  images  = toset(["serving", "training"])
# {% endif %}
}
