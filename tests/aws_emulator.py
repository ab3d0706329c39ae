"""Moto's server, with what it lacks to be applied to, planned against and torn down as AWS is.

Runs as a script in an environment that has moto; `emulators.aws` does so.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.budgets.models import Notification
from moto.budgets.responses import BudgetsResponse
from moto.server import main

BUDGET_TAGS: dict[str, dict[str, str]] = {}
get_configuration = LambdaFunction.get_configuration


def configuration_without_empty_override(
    self: LambdaFunction, *arguments: Any, **options: Any
) -> dict[str, Any]:
    """Leave the image's entry point out where it was not overridden, as Lambda does."""
    found: dict[str, Any] = get_configuration(self, *arguments, **options)
    if not any(found.get("ImageConfigResponse", {}).get("ImageConfig", {None: None}).values()):
        found.pop("ImageConfigResponse", None)
    return found


def list_budget_tags(self: BudgetsResponse) -> str:
    """Answer with the tags of a budget."""
    tags = BUDGET_TAGS.get(self._get_param("ResourceARN"), {})
    return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]})


def tag_budget(self: BudgetsResponse) -> str:
    """Keep tags of a budget."""
    given = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")}
    BUDGET_TAGS.setdefault(self._get_param("ResourceARN"), {}).update(given)
    return "{}"


create_budget = BudgetsResponse.create_budget


def create_tagged_budget(self: BudgetsResponse) -> str:
    """Create a budget and keep its tags."""
    name = f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{self._get_param('Budget')['BudgetName']}"
    BUDGET_TAGS[name] = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags") or []}
    return str(create_budget(self))


def is_of(notification: Notification, wanted: dict[str, Any]) -> bool:
    """Tell whether a notification is the one that was asked for."""
    names = ("NotificationType", "Threshold", "ComparisonOperator")
    return all(notification.details.get(name) == wanted.get(name) for name in names)


def describe_subscribers(self: BudgetsResponse) -> str:
    """Answer with who hears of a budget."""
    budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
    wanted = self._get_param("Notification")
    found = [each.subscribers for each in budget.notifications if is_of(each, wanted)]
    return json.dumps({"Subscribers": found[0] if found else []})


LambdaFunction.get_configuration = configuration_without_empty_override
BudgetsResponse.create_budget = create_tagged_budget
BudgetsResponse.list_tags_for_resource = list_budget_tags
BudgetsResponse.tag_resource = tag_budget
BudgetsResponse.describe_subscribers_for_notification = describe_subscribers

if __name__ == "__main__":
    main(sys.argv[1:])
