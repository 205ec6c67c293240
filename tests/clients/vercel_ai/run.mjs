// Vercel's AI SDK: its providers for each surface.

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import { PNG, anyModel, given, run, scripted } from "./kit.mjs";

const settings = { baseURL: `${given.url}/v1`, apiKey: given.key };
const makers = {
  openai_chat: {
    "": createOpenAICompatible({
      ...settings,
      name: "komeet",
      includeUsage: true,
      supportsStructuredOutputs: true,
    }),
    "openai: ": createOpenAI(settings).chat,
  },
  openai_responses: { "": createOpenAI(settings) },
  anthropic_messages: { "": createAnthropic(settings) },
  gemini: { "": createGoogleGenerativeAI({ ...settings, baseURL: `${given.url}/v1beta` }) },
}[given.surface];
const thinking = {
  komeet: { reasoningEffort: "medium" },
  openai: { reasoningEffort: "medium", reasoningSummary: "auto", forceReasoning: true, store: false },
  anthropic: { thinking: { type: "enabled", budgetTokens: 2000 } },
  google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2000 } },
};
const weather = tool({
  description: "Tells the weather.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const City = z.object({ name: z.string(), inhabitants: z.number().int() });

for (const [prefix, make] of Object.entries(makers)) {
  // The provider for Google takes a name with a slash for a path of its own.
  const bare = given.surface === "gemini" && !given.embedded;
  const model = make(bare ? `other-${given.model.split("/")[0]}` : given.model);
  const common = { model, maxRetries: 0, providerOptions: { openai: { store: false } } };

  anyModel(`${prefix}whole`, async () => {
    const answer = await generateText({ ...common, prompt: "Hello", maxOutputTokens: 24 });
    assert.ok(answer.text);
    assert.ok(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 0);
  });

  anyModel(`${prefix}streamed`, async () => {
    const answer = streamText({ ...common, prompt: "Hello", maxOutputTokens: 24 });
    let text = "";
    for await (const piece of answer.textStream) text += piece;
    assert.ok(text);
    assert.ok((await answer.usage).outputTokens > 0);
  });

  const asked = {
    ...common,
    system: "Be brief.",
    prompt: "What is the weather in 'Paris'?",
    tools: { get_weather: weather },
    stopWhen: isStepCount(3),
  };

  scripted(`${prefix}tool loop`, async () => {
    const answer = await generateText(asked);
    assert.match(answer.text, /^The tool said: .*sunny in Paris/);
  });

  scripted(`${prefix}tool loop, streamed`, async () => {
    const answer = streamText(asked);
    assert.match(await answer.text, /^The tool said: .*sunny in Paris/);
    assert.equal((await answer.steps).length, 2);
  });

  scripted(`${prefix}tool choice`, async () => {
    const answer = await generateText({ ...asked, prompt: "Hello", toolChoice: "required", stopWhen: isStepCount(1) });
    assert.equal(answer.toolCalls.length, 1);
  });

  scripted(`${prefix}typed output`, async () => {
    const output = Output.object({ schema: City });
    const answer = await generateText({ ...common, prompt: "'Paris' has 2000000 people", output });
    assert.deepEqual(answer.output, { name: "Paris", inhabitants: 2000000 });
  });

  scripted(`${prefix}typed output, streamed`, async () => {
    const output = Output.object({ schema: City });
    const answer = streamText({ ...common, prompt: "'Paris' has 2000000 people", output });
    let last;
    for await (const partial of answer.partialOutputStream) last = partial;
    assert.deepEqual(last, { name: "Paris", inhabitants: 2000000 });
  });

  scripted(`${prefix}picture`, async () => {
    const file = { type: "file", data: PNG, mediaType: "image/png" };
    const content = [{ type: "text", text: "Look" }, file];
    const answer = await generateText({ ...common, messages: [{ role: "user", content }] });
    assert.match(answer.text, /image\/png/);
  });

  if (prefix === "") {
    scripted(`${prefix}reasoning`, async () => {
      const options = { ...common, providerOptions: thinking, prompt: "Hello", maxOutputTokens: 2400 };
      const answer = await generateText(options);
      assert.match(answer.reasoningText ?? "", /wants an answer/);
      const streamed = streamText(options);
      assert.match((await streamed.reasoningText) ?? "", /wants an answer/);
    });
  }

  scripted(`${prefix}error`, async () => {
    const call = generateText({ ...common, model: make("no-such-model"), prompt: "Hello" });
    await assert.rejects(call, (error) => APICallError.isInstance(error) && [400, 404].includes(error.statusCode));
  });
}

await run();
