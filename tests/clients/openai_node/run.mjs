// OpenAI's library for JavaScript, on Chat Completions and on Responses.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { PNG, anyModel, given, run, scripted } from "./kit.mjs";

const client = new OpenAI({ baseURL: `${given.url}/v1`, apiKey: given.key, maxRetries: 0 });
const model = given.model;
const chat = given.surface === "openai_chat";
const hello = [{ role: "user", content: "Hello" }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const schema = {
  type: "object",
  properties: { name: { type: "string" }, inhabitants: { type: "integer" } },
  required: ["name", "inhabitants"],
  additionalProperties: false,
};

anyModel("whole", async () => {
  if (chat) {
    const answer = await client.chat.completions.create({ model, messages: hello, max_completion_tokens: 24 });
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
  } else {
    const answer = await client.responses.create({ model, input: "Hello", max_output_tokens: 24 });
    assert.ok(answer.output_text);
    assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
  }
});

anyModel("streamed", async () => {
  let text = "";
  if (chat) {
    const options = { stream: true, stream_options: { include_usage: true }, max_completion_tokens: 24 };
    let usage;
    for await (const chunk of await client.chat.completions.create({ model, messages: hello, ...options })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.ok(usage.completion_tokens > 0);
  } else {
    for await (const event of await client.responses.create({ model, input: "Hello", stream: true, max_output_tokens: 24 })) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
  }
  assert.ok(text);
});

scripted("stream helper", async () => {
  if (chat) {
    const stream = client.chat.completions.stream({ model, messages: hello });
    assert.ok(await stream.finalContent());
  } else {
    const stream = client.responses.stream({ model, input: "Hello" });
    assert.ok((await stream.finalResponse()).output_text);
  }
});

anyModel("list of models", async () => {
  let found = 0;
  for await (const each of client.models.list()) found += each.id ? 1 : 0;
  assert.ok(found > 0);
});

scripted("tool", async () => {
  const asked = "What is the weather in 'Paris'?";
  if (chat) {
    const seen = [];
    const get_weather = (given) => (seen.push(given.city), "sunny");
    const runner = client.chat.completions.runTools({
      model,
      messages: [{ role: "user", content: asked }],
      tools: [{ type: "function", function: { function: get_weather, parse: JSON.parse, parameters } }],
    });
    assert.equal(await runner.finalContent(), "The tool said: sunny");
    assert.deepEqual(seen, ["Paris"]);
  } else {
    const tools = [{ type: "function", name: "get_weather", parameters, strict: true }];
    const input = [{ role: "user", content: asked }];
    const first = await client.responses.create({ model, input, tools, store: false });
    const [call] = first.output.filter((item) => item.type === "function_call");
    assert.deepEqual(JSON.parse(call.arguments), { city: "Paris" });
    input.push(...first.output, { type: "function_call_output", call_id: call.call_id, output: "sunny" });
    const second = await client.responses.create({ model, input, tools, store: false });
    assert.equal(second.output_text, "The tool said: sunny");
  }
});

scripted("tool, streamed", async () => {
  const asked = [{ role: "user", content: "What is the weather in 'Paris'?" }];
  if (chat) {
    const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
    const stream = client.chat.completions.stream({ model, messages: asked, tools });
    const message = await stream.finalMessage();
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Paris" });
  } else {
    const tools = [{ type: "function", name: "get_weather", parameters, strict: true }];
    const final = await client.responses.stream({ model, input: asked, tools }).finalResponse();
    assert.deepEqual(JSON.parse(final.output[0].arguments), { city: "Paris" });
  }
});

scripted("typed output", async () => {
  const asked = [{ role: "user", content: "'Paris' has 2000000 people" }];
  const form = { type: "json_schema", name: "city", strict: true, schema };
  if (chat) {
    const { type, ...json_schema } = form;
    const answer = await client.chat.completions.parse({ model, messages: asked, response_format: { type, json_schema } });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), { name: "Paris", inhabitants: 2000000 });
  } else {
    const answer = await client.responses.parse({ model, input: asked, text: { format: form } });
    assert.deepEqual(JSON.parse(answer.output_text), { name: "Paris", inhabitants: 2000000 });
  }
});

scripted("picture", async () => {
  const url = `data:image/png;base64,${PNG}`;
  if (chat) {
    const content = [{ type: "text", text: "Look" }, { type: "image_url", image_url: { url } }];
    const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
    assert.match(answer.choices[0].message.content, /image\/png/);
  } else {
    const content = [{ type: "input_text", text: "Look" }, { type: "input_image", image_url: url, detail: "auto" }];
    const answer = await client.responses.create({ model, input: [{ role: "user", content }] });
    assert.match(answer.output_text, /image\/png/);
  }
});

scripted("error", async () => {
  const call = chat
    ? client.chat.completions.create({ model: "no-such-model", messages: hello })
    : client.responses.create({ model: "no-such-model", input: "Hello" });
  await assert.rejects(call, (error) => error instanceof OpenAI.APIError && error.code === "model_not_found");
});

await run();
