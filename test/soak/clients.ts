/** @file Clients of a soak: some talk, some go away, some send what is none of a client's business. */
import type { Random } from "../../src/random.ts";
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
  numDisturbed: number;
  /** Code of the answer while the disk was full; null: no small disk could be mounted. */
  diskFull: string | null;
}

export function newTally(): Tally {
  const counts = { numCut: 0, numKills: 0, numOverloaded: 0, numVanished: 0, numDisturbed: 0 };
  return { latencies: [], faults: [], ...counts, diskFull: null };
}

const MESSAGES = [{ role: "user", content: "ka lo mi" }];

/** Asks for the greedy answer of a model; "": there was no place. */
export async function chat(url: string, model: string, streams: boolean, tally?: Tally): Promise<string> {
  const body = { model, messages: MESSAGES, max_completion_tokens: 16, temperature: 0, stream: streams };
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
  const events = text.split("\n\n").filter((line) => line.startsWith("data: {"));
  return events
    .map((line) => JSON.parse(line.slice(6)) as { choices: { delta: { content?: string } }[] })
    .map(({ choices }) => choices[0]?.delta.content ?? "")
    .join("");
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
  await new Promise((resolve) => setTimeout(resolve, random.integer(400)));
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
  const [path, body, status] = cases[random.integer(cases.length)] as (typeof cases)[number];
  const answer = await fetch(url + path, { method: "POST", body });
  const { error } = (await answer.json()) as { error?: { message: string } };
  if (answer.status !== status || error === undefined || /\n\s+at /.test(error.message)) {
    throw new Error(`${path} gave ${answer.status}, expected ${status}: ${error?.message}`);
  }
  const socket = await openSocket(url);
  socket.write("what is this\r\n\r\n");
  socket.destroy();
  tally.numDisturbed++;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
