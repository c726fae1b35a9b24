// The AWS SDK for JavaScript against shared/fake/bedrocktest; started by conformance_test.go, which says where it listens.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BedrockAgentRuntimeClient, InvokeAgentCommand } from "@aws-sdk/client-bedrock-agent-runtime";
import { BedrockAgentCoreClient, InvokeHarnessCommand, StopRuntimeSessionCommand } from "@aws-sdk/client-bedrock-agentcore";

const options = {
  endpoint: process.env.ENDPOINT,
  region: "eu-central-1",
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
  maxAttempts: 1,
};
const classic = new BedrockAgentRuntimeClient(options);
const core = new BedrockAgentCoreClient(options);
const harnessArn = process.env.HARNESS_ARN;
const answer = process.env.ANSWER;

const invoke = (sessionId, inputText, more = {}) =>
  classic.send(new InvokeAgentCommand({ agentId: "AB12CD34EF", agentAliasId: "PRODALIAS1", sessionId, inputText, ...more }));

async function read(response) {
  const parts = [], traces = [];
  for await (const event of response.completion) {
    if (event.chunk) parts.push(event.chunk.bytes);
    if (event.trace) traces.push(event.trace);
  }
  return { text: new TextDecoder().decode(Buffer.concat(parts)), chunks: parts.length, traces };
}

test("InvokeAgent streams an answer and its trace", async () => {
  const response = await invoke("js-1", "show the first 3 members of Engineering", {
    enableTrace: true,
    streamingConfigurations: { streamFinalResponse: true },
    sessionState: { sessionAttributes: { a: "1" }, promptSessionAttributes: { b: "2" } },
  });
  assert.equal(response.contentType, "application/json");
  assert.equal(response.sessionId, "js-1");
  const got = await read(response);
  assert.equal(got.text, answer);
  assert.ok(got.chunks > 3);
  const steps = got.traces.map((t) => t.trace.orchestrationTrace);
  const input = steps.find((s) => s.invocationInput).invocationInput;
  assert.equal(input.invocationType, "ACTION_GROUP");
  assert.deepEqual(input.actionGroupInvocationInput.parameters, [
    { name: "group", type: "string", value: "Engineering" },
    { name: "limit", type: "integer", value: "3" },
  ]);
  assert.ok(steps.some((s) => s.observation?.actionGroupInvocationOutput?.text === answer));
  assert.ok(steps.some((s) => s.modelInvocationOutput?.metadata?.usage?.inputTokens > 0));
  assert.ok(got.traces[0].eventTime instanceof Date && !Number.isNaN(+got.traces[0].eventTime));
});

test("InvokeAgent answers in one chunk unless asked to stream, without trace unless asked", async () => {
  const got = await read(await invoke("js-2", "list my groups"));
  assert.equal(got.text, answer);
  assert.equal(got.chunks, 1);
  assert.equal(got.traces.length, 0);
});

test("InvokeAgent remembers the conversation until endSession", async () => {
  assert.equal((await read(await invoke("js-3", "who is in the group?"))).text, "Which group?");
  assert.equal((await read(await invoke("js-3", "Engineering"))).text, answer);
  await read(await invoke("js-3", "who is in a group?"));
  await read(await invoke("js-3", "bye", { endSession: true }));
  assert.notEqual((await read(await invoke("js-3", "Engineering"))).text, answer);
});

test("InvokeAgent ends the stream with dependencyFailedException when the function fails", async () => {
  // the SDK reads the first event before it hands the response out
  await assert.rejects(async () => read(await invoke("js-4", "suspend dave@example.com")), (e) => {
    assert.equal(e.name, "DependencyFailedException");
    assert.match(e.resourceName, /:function:ciba$/);
    return true;
  });
});

test("InvokeAgent refuses what does not fit", async () => {
  await assert.rejects(invoke("auth0|u1", "hello"), (e) => e.name === "ValidationException" && e.$metadata.httpStatusCode === 400);
  await assert.rejects(
    classic.send(new InvokeAgentCommand({ agentId: "OTHER", agentAliasId: "PRODALIAS1", sessionId: "js-5", inputText: "hello" })),
    (e) => e.name === "ResourceNotFoundException" && e.$metadata.httpStatusCode === 404,
  );
});

const harness = (runtimeSessionId, content) =>
  core.send(new InvokeHarnessCommand({ harnessArn, runtimeSessionId, messages: [{ role: "user", content }] }));

async function hear(response) {
  const got = { text: "", input: "", stop: [], start: undefined, usage: undefined };
  for await (const event of response.stream) {
    if (event.contentBlockStart?.start?.toolUse) got.start = event.contentBlockStart.start.toolUse;
    const delta = event.contentBlockDelta?.delta;
    if (delta?.text) got.text += delta.text;
    if (delta?.toolUse) got.input += delta.toolUse.input;
    if (event.messageStop) got.stop.push(event.messageStop.stopReason);
    if (event.metadata) got.usage = event.metadata.usage;
  }
  return got;
}

test("InvokeHarness hands the tool call back and goes on with its result", async () => {
  const session = "js-harness-0000000000000000000000000000000001";
  const first = await hear(await harness(session, [{ text: "Find users named Taylor" }]));
  assert.equal(first.start.name, "find_users");
  assert.deepEqual(JSON.parse(first.input), { query: "Taylor" });
  assert.deepEqual(first.stop, ["tool_use"]);
  assert.ok(first.usage.totalTokens > 0);

  await assert.rejects(harness(session, [{ text: "never mind" }]), (e) => e.name === "ValidationException");
  const second = await hear(await harness(session, [
    { toolResult: { toolUseId: first.start.toolUseId, status: "success", content: [{ text: answer }] } },
  ]));
  assert.equal(second.text, answer);
  assert.deepEqual(second.stop, ["end_turn"]);

  const stop = { agentRuntimeArn: harnessArn, runtimeSessionId: session };
  await core.send(new StopRuntimeSessionCommand(stop));
  await assert.rejects(core.send(new StopRuntimeSessionCommand(stop)), (e) => e.name === "ResourceNotFoundException");
});

test("InvokeHarness refuses session ids that do not fit", async () => {
  for (const id of ["short", "a".repeat(101), "a.".repeat(20), "a:".repeat(20)]) {
    await assert.rejects(harness(id, [{ text: "hello" }]), (e) => e.name === "ValidationException", id);
  }
});
