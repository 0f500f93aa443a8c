/** @file Clients of a soak: some talk, some go away, some send what is none of a client's business. */
import type { Random } from "../../src/random.ts";
import { setTimeout as wait } from "node:timers/promises";
import { openSocket, postText } from "../serve/raw-socket.ts";

export interface Tally {
  readonly latencies: number[];
  /** What is wrong. */
  readonly faults: string[];
  /** Answers that a killed server has cut off. */
  numCut: number;
  numKills: number;
  /** Requests that found no place and came again. */
  numOverloaded: number;
  numVanished: number;
  /** Answers that were asked for and read slowly. */
  numSlow: number;
  /** Jobs that were cancelled at some moment. */
  numCancelled: number;
  numDisturbed: number;
}

export function newTally(): Tally {
  const counts = {
    numCut: 0,
    numKills: 0,
    numOverloaded: 0,
    numVanished: 0,
    numSlow: 0,
    numCancelled: 0,
    numDisturbed: 0,
  };
  return { latencies: [], faults: [], ...counts };
}

export const MESSAGES = [{ role: "user" as const, content: "ka lo mi" }];
export const ANSWER_TOKENS = 16;

/** Asks for the greedy answer of a model; "": there was no place. */
export async function chat(url: string, model: string, streams: boolean, tally?: Tally): Promise<string> {
  const body = {
    model,
    messages: MESSAGES,
    max_completion_tokens: ANSWER_TOKENS,
    temperature: 0,
    stream: streams,
  };
  const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });
  const text = await answer.text();
  if (answer.status === 503) {
    if (tally) tally.numOverloaded++;
    return "";
  }
  if (answer.status !== 200) throw new Error(`${answer.status}: ${text}`);
  if (!streams)
    return (JSON.parse(text) as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
  if (!text.endsWith("data: [DONE]\n\n")) throw new TypeError("terminated");
  return textOf(text);
}

/** The text of the events of a stream. */
function textOf(stream: string): string {
  return stream
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)) as { choices: { delta: { content?: string } }[] })
    .map(({ choices }) => choices[0]?.delta.content ?? "")
    .join("");
}

/** Sends a request in small parts and reads the answer in its own time; "": there was no place. */
export async function dawdle(url: string, model: string, random: Random, tally: Tally): Promise<string> {
  const socket = await openSocket(url);
  const body = {
    model,
    messages: MESSAGES,
    max_completion_tokens: ANSWER_TOKENS,
    temperature: 0,
    stream: true,
  };
  const request = postText("/v1/chat/completions", body, ["Connection: close"]);
  for (let from = 0; from < request.length; from += 64) {
    socket.write(request.slice(from, from + 64));
    await wait(random.integer(60));
  }
  let received = "";
  for await (const chunk of socket) {
    received += String(chunk);
    await wait(random.integer(60));
  }
  if (received.startsWith("HTTP/1.1 503")) {
    tally.numOverloaded++;
    return "";
  }
  if (!received.includes("data: [DONE]")) throw new TypeError("terminated");
  tally.numSlow++;
  return textOf(received);
}

/** Begins a long text and goes away, or does not read it. */
export async function vanish(url: string, model: string, random: Random, tally: Tally): Promise<void> {
  const socket = await openSocket(url);
  const body = {
    model,
    prompt: "ka",
    max_tokens: 300,
    stream: random.integer(2) === 0,
    n: 1 + random.integer(3),
  };
  socket.write(postText("/v1/completions", body));
  if (random.integer(2) === 0) socket.resume();
  await wait(random.integer(400));
  socket.destroy();
  tally.numVanished++;
}

/** Sends something that must be refused in OpenAI's form, or ends the connection. */
export async function disturb(url: string, random: Random, tally: Tally): Promise<void> {
  const cases: [path: string, body: string | Uint8Array<ArrayBuffer>, status: number][] = [
    ["/v1/chat/completions", "{", 400],
    ["/v1/chat/completions", '{"model": "nobody", "messages": [{"role": "user", "content": "x"}]}', 404],
    ["/v1/completions", `{"model": "tiny", "prompt": "${"x".repeat(2_000_000)}"}`, 413],
    ["/v1/completions", '{"model": "tiny", "prompt": "ka", "max_tokens": 100000}', 400],
    ["/v1/completions", Uint8Array.of(0xff, 0xfe, 0x00), 400],
    ["/v1/load_lora_adapter", '{"lora_name": "x", "lora_path": "../../etc"}', 403],
    ["/v1/nothing", "{}", 404],
  ];
  const [path, body, status] = cases[random.integer(cases.length)]!;
  const answer = await fetch(url + path, { method: "POST", body });
  const { error } = (await answer.json()) as { error?: { message: string } };
  if (answer.status !== status || error === undefined || /\n\s+at /.test(error.message)) {
    throw new Error(`${path} gave ${answer.status}, expected ${status}: ${error?.message}`);
  }
  const socket = await openSocket(url);
  socket.write("what is this\r\n\r\n");
  socket.destroy();
  tally.numDisturbed++;
  await wait(50);
}
