"""Deploys the golden templates into moto's CloudFormation: first one runtime, then the other over it, as a person does.

What moto does not know (agent, harness, function URL, secrets, some policies) is left out, and references to it are
stubbed; the rest is really made, and asked through the services' own interfaces. Nothing leaves this process.
"""

import io
import json
import logging
import os
import pathlib
import re
import sys
import zipfile

os.environ.update(AWS_ACCESS_KEY_ID="example", AWS_SECRET_ACCESS_KEY="example", AWS_DEFAULT_REGION="eu-central-1")

import boto3
from moto import mock_aws
from moto.cloudformation import parsing

STACK = "steward-dev"
failures = []
logging.disable(logging.WARNING)  # what is not emulated is told below


def check(name, ok):
    print(("ok    " if ok else "FAILED ") + name)
    if not ok:
        failures.append(name)


def without(template):
    """The template without what is not emulated."""
    gone = {i for i, r in template["Resources"].items() if not parsing.resource_class_from_type(r["Type"])}

    def stub(node):
        if isinstance(node, list):
            return [stub(n) for n in node]
        if not isinstance(node, dict):
            return node
        if node.get("Ref") in gone or node.get("Fn::GetAtt", [None])[0] in gone:
            return "https://emulated/"
        if isinstance(node.get("Fn::Sub"), str):
            return {"Fn::Sub": re.sub(r"\$\{(%s)[.}]" % "|".join(gone or ["-"]), "emulated", node["Fn::Sub"])}
        return {k: stub(v) for k, v in node.items()}

    template["Resources"] = {i: stub(r) for i, r in template["Resources"].items() if i not in gone}
    for r in template["Resources"].values():
        r["Properties"].pop("Tags", None)  # moto expects them in the shape of each service, not of CloudFormation
    template["Outputs"] = stub(template["Outputs"])
    template.pop("Rules", None)  # of the bootstrap version; the CDK's own
    return template


def bundles(template, account):
    """The CDK's asset bucket, with a bundle for each function."""
    s3, bucket = boto3.client("s3"), f"cdk-hnb659fds-assets-{account}-eu-central-1"
    if bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as z:
        z.writestr("bootstrap", "a program")
    for r in template["Resources"].values():
        if r["Type"] == "AWS::Lambda::Function":
            s3.put_object(Bucket=bucket, Key=r["Properties"]["Code"]["S3Key"], Body=body.getvalue())


def physical(cloudformation):
    return {r["LogicalResourceId"]: r.get("PhysicalResourceId", "") for r in cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]}


@mock_aws
def main(folder):
    account = boto3.client("sts").get_caller_identity()["Account"]
    boto3.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    cloudformation, dynamodb = boto3.client("cloudformation"), boto3.client("dynamodb")

    templates = {}
    for agent in ("classic", "harness"):
        templates[agent] = without(json.loads((folder / f"{agent}-dev.template.json").read_text()))
        bundles(templates[agent], account)

    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(templates["classic"]), Capabilities=["CAPABILITY_IAM"])
    check("stack is created", cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")
    made = physical(cloudformation)
    missing = {r["Type"] for i, r in templates["classic"]["Resources"].items() if i not in made}
    check(f"every emulated resource is made (missing: {sorted(missing)})", not missing)

    sessions = dynamodb.describe_table(TableName=made["SessionTable"])["Table"]
    check("sessions are found by owner", [i["IndexName"] for i in sessions["GlobalSecondaryIndexes"]] == ["by-owner"])

    functions = boto3.client("lambda")
    chat = functions.get_function(FunctionName=made["ChatFunction"])["Configuration"]
    check("the chat knows its tables", chat["Environment"]["Variables"]["SESSION_TABLE_NAME"] == made["SessionTable"])
    check("the chat does not know its address", "APP_BASE_URL" not in chat["Environment"]["Variables"])
    parameter = chat["Environment"]["Variables"]["APP_BASE_URL_PARAMETER"]
    check("but where it stands", boto3.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"].startswith("https://"))
    source = functions.list_event_source_mappings(FunctionName=made["ApprovalWorkerFunction"])["EventSourceMappings"][0]
    check("the queue feeds the worker", source["EventSourceArn"].endswith(":" + made["ApprovalQueue"].rsplit("/", 1)[-1]))

    # Somebody uses it, then a newer version is deployed over it, with the other runtime.
    row = {"session_id": {"S": "s"}, "item": {"S": "session"}, "owner": {"S": "oidc|alice"}}
    dynamodb.put_item(TableName=made["SessionTable"], Item=row)
    dynamodb.put_item(TableName=made["AuditTable"], Item={"subject": {"S": "oidc|alice"}, "id": {"S": "1"}})

    cloudformation.update_stack(StackName=STACK, TemplateBody=json.dumps(templates["harness"]), Capabilities=["CAPABILITY_IAM"])
    check("stack is updated", cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE")
    now = physical(cloudformation)
    for name in ("Key", "SessionTable", "AuditTable", "ApprovalQueue", "ApprovalDeadLetters"):
        check(f"{name} is not replaced", now[name] == made[name])
    check("the session is still there", dynamodb.get_item(TableName=now["SessionTable"], Key={k: row[k] for k in ("session_id", "item")})["Item"] == row)
    check("the audit is still there", dynamodb.scan(TableName=now["AuditTable"])["Count"] == 1)
    check("nothing of the other runtime is left", "AgentRole" in made and "AgentRole" not in now and "HarnessRole" in now)

    cloudformation.delete_stack(StackName=STACK)
    check("stack is deleted", not dynamodb.list_tables()["TableNames"])


main(pathlib.Path(sys.argv[1]))
sys.exit(1 if failures else 0)
