"""Moto's server, with what it lacks to be applied to, planned against and torn down as AWS is.

Its CloudFormation knows a part of the types only; the others are made here, by asking the server itself.
Runs as a script in an environment that has moto; `emulators.aws` does so.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from moto.awslambda.models import LambdaFunction, LambdaVersion
from moto.budgets.models import Notification
from moto.budgets.responses import BudgetsResponse
from moto.cloudformation.models import ChangeSet
from moto.core.common_models import CloudFormationModel
from moto.ecr.models import Repository, ecr_backends
from moto.iam.access_control import PermissionResult
from moto.kms.models import Key
from moto.s3.models import FakeBucket
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


def execute(self: ChangeSet) -> None:
    """Make what the template's conditions and parameters ask for; what is there already stays as it is."""
    stack, there = self.stack, self.stack.resource_map._parsed_resources
    stack.template, stack.parameters = self.template, self.parameters
    stack._parse_template()
    stack.resource_map = stack._create_resource_map()
    kept = {name: there[name] for name in stack.template_dict["Resources"] if there.get(name) is not None}
    stack.resource_map._parsed_resources.update(kept)
    stack.output_map = stack._create_output_map()
    stack.resource_map.create(stack.template_dict)


def delete_with_images(self: Repository, account_id: str, region_name: str) -> None:
    """Delete a stack's repository as EmptyOnDelete says, which moto does not know."""
    ecr_backends[account_id][region_name].delete_repository(self.name, force=True)


create_key = Key.create_from_cloudformation_json


def create_key_with_policy(name: str, content: dict[str, Any], *place: str, **more: str) -> Key:
    """Create a stack's key with its policy as text, which is what asking for the key then wants."""
    policy = json.dumps(content["Properties"]["KeyPolicy"])
    given = {**content, "Properties": {**content["Properties"], "KeyPolicy": policy}}
    return create_key(name, given, *place, **more)


@dataclass(frozen=True)
class Made:
    """What a resource of a stack is known by."""

    identity: str
    attributes: dict[str, str]
    remove: Callable[[Any], object]


Making = Callable[[Any, dict[str, Any]], Made]


def make_api(client: Any, given: dict[str, Any]) -> Made:
    """Make an HTTP API."""
    made = client.create_api(**given)
    identity = made["ApiId"]
    return Made(
        identity, {"ApiEndpoint": made["ApiEndpoint"]}, lambda client: client.delete_api(ApiId=identity)
    )


def make_part(action: str, identity: str) -> Making:
    """Return how a part of an HTTP API is made, which goes with it."""

    def make(client: Any, given: dict[str, Any]) -> Made:
        return Made(getattr(client, action)(**given)[identity], {}, lambda _: None)

    return make


def make_alias(client: Any, given: dict[str, Any]) -> Made:
    """Make an alias of a function, which goes with it."""
    made = client.create_alias(**given)
    return Made(made["AliasArn"], {}, lambda _: None)


def make_secret(client: Any, given: dict[str, Any]) -> Made:
    """Make a secret."""
    arn = client.create_secret(**given)["ARN"]
    return Made(arn, {}, lambda client: client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True))


def make_alarm(client: Any, given: dict[str, Any]) -> Made:
    """Make an alarm."""
    name = given["AlarmName"]
    numbers = {key: float(given[key]) for key in ("Threshold",) if key in given}
    client.put_metric_alarm(**{**given, **numbers})
    return Made(name, {}, lambda client: client.delete_alarms(AlarmNames=[name]))


def make_budget(client: Any, given: dict[str, Any]) -> Made:
    """Make a budget."""
    given["Budget"]["BudgetLimit"]["Amount"] = str(given["Budget"]["BudgetLimit"]["Amount"])
    account, name = "123456789012", given["Budget"]["BudgetName"]
    client.create_budget(AccountId=account, **given)
    return Made(name, {}, lambda client: client.delete_budget(AccountId=account, BudgetName=name))


def make_issuer(client: Any, given: dict[str, Any]) -> Made:
    """Make an issuer of tokens known."""
    arn = client.create_open_id_connect_provider(Url=given["Url"], ClientIDList=given["ClientIdList"])[
        "OpenIDConnectProviderArn"
    ]
    return Made(arn, {}, lambda client: client.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn))


def make_role_policy(client: Any, given: dict[str, Any]) -> Made:
    """Put a policy into a role."""
    role, name = given["RoleName"], given["PolicyName"]
    client.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(given["PolicyDocument"]))
    return Made(name, {}, lambda client: client.delete_role_policy(RoleName=role, PolicyName=name))


def make_bucket_policy(client: Any, given: dict[str, Any]) -> Made:
    """Put a policy on a bucket, which goes with it."""
    client.put_bucket_policy(Bucket=given["Bucket"], Policy=json.dumps(given["PolicyDocument"]))
    return Made(given["Bucket"], {}, lambda _: None)


def make_topic_policy(client: Any, given: dict[str, Any]) -> Made:
    """Put a policy on a topic, which goes with it."""
    [topic], policy = given["Topics"], json.dumps(given["PolicyDocument"])
    client.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    return Made(topic, {}, lambda _: None)


ADAPTED: dict[str, tuple[str, Making]] = {
    "AWS::ApiGatewayV2::Api": ("apigatewayv2", make_api),
    "AWS::ApiGatewayV2::Integration": ("apigatewayv2", make_part("create_integration", "IntegrationId")),
    "AWS::ApiGatewayV2::Route": ("apigatewayv2", make_part("create_route", "RouteId")),
    "AWS::ApiGatewayV2::Stage": ("apigatewayv2", make_part("create_stage", "StageName")),
    "AWS::Budgets::Budget": ("budgets", make_budget),
    "AWS::CloudWatch::Alarm": ("cloudwatch", make_alarm),
    "AWS::IAM::OIDCProvider": ("iam", make_issuer),
    "AWS::IAM::RolePolicy": ("iam", make_role_policy),
    "AWS::Lambda::Alias": ("lambda", make_alias),
    "AWS::S3::BucketPolicy": ("s3", make_bucket_policy),
    "AWS::SNS::TopicPolicy": ("sns", make_topic_policy),
    "AWS::SecretsManager::Secret": ("secretsmanager", make_secret),
}
"""The service that is asked for a resource, and how, by its type."""

MADE: dict[str, Made] = {}


def adapt(kind: str, service: str, make: Making) -> type[CloudFormationModel]:
    """Return the type of a resource as moto's CloudFormation wants it."""

    def client() -> Any:
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{os.environ['PORT']}")

    def create(cls: Any, _name: str, content: Any, /, *_: str, **__: str) -> CloudFormationModel:
        made = make(client(), content["Properties"])
        MADE[made.identity] = made
        resource: CloudFormationModel = cls()
        resource.physical_resource_id = made.identity
        return resource

    def update(cls: Any, original_resource: Any, *_: Any, **__: Any) -> Any:  # noqa: ARG001 - moto's
        return original_resource

    def delete(cls: Any, resource_name: str, *_: Any) -> None:  # noqa: ARG001 - moto's
        made = MADE.pop(resource_name, None)
        if made:
            made.remove(client())

    def attribute(self: Any, name: str) -> str:
        return MADE[self.physical_resource_id].attributes[name]

    members = {
        "cloudformation_name_type": staticmethod(lambda: ""),
        "cloudformation_type": staticmethod(lambda: kind),
        "has_cfn_attr": classmethod(lambda cls, attr: True),  # noqa: ARG005 - moto's
        "create_from_cloudformation_json": classmethod(create),
        "update_from_cloudformation_json": classmethod(update),
        "delete_from_cloudformation_json": classmethod(delete),
        "get_cfn_attribute": attribute,
        "is_created": lambda self: True,  # noqa: ARG005 - moto's
    }
    return type(kind.replace(":", ""), (CloudFormationModel,), members)


MODELS = [adapt(kind, service, make) for kind, (service, make) in ADAPTED.items()]
ChangeSet.apply = execute
# The buckets refuse what comes without TLS, which here is everything.
FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL
Key.create_from_cloudformation_json = create_key_with_policy
LambdaVersion.get_cfn_attribute = lambda self, _: str(self.version)
Repository.delete = delete_with_images
LambdaFunction.get_configuration = configuration_without_empty_override
BudgetsResponse.create_budget = create_tagged_budget
BudgetsResponse.list_tags_for_resource = list_budget_tags
BudgetsResponse.tag_resource = tag_budget
BudgetsResponse.describe_subscribers_for_notification = describe_subscribers

if __name__ == "__main__":
    main(sys.argv[1:])
