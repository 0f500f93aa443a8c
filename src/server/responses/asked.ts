/** @file The settings of a request that answers of the Responses API repeat. */
import type { ResponseRequest } from "./response-request.ts";

/** The requested settings, and those that are the same for all. */
export function askedOf(body: ResponseRequest): object {
  return {
    model: body.model,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    temperature: body.temperature ?? 1,
    top_p: body.top_p ?? 1,
    presence_penalty: body.presence_penalty ?? 0,
    frequency_penalty: body.frequency_penalty ?? 0,
    top_logprobs: body.top_logprobs ?? 0,
    text: { format: body.text?.format ?? { type: "text" } },
    tools: (body.tools ?? []).map((tool) => ({ description: null, parameters: null, strict: null, ...tool })),
    tool_choice: body.tool_choice ?? "auto",
    user: textOf(body.user),
    safety_identifier: textOf(body.safety_identifier),
    prompt_cache_key: textOf(body.prompt_cache_key),
    store: false,
    background: false,
    previous_response_id: null,
    max_tool_calls: null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    truncation: "disabled",
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
