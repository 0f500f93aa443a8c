/**
 * @file Writes the text that the small demonstration model learns from: stories, questions and short chats.
 *
 *   node tools/small-model/make-text.ts OUT.txt [--bytes N] [--seed N] [--transfer]
 *
 * All words and sentences are this file's own. A cast with fixed facts (who is a fox, who eats pears) walks through
 * stories whose other facts are drawn; answers always agree with both. `--transfer` writes the second corpus, a
 * harbour's log with other facts and words, for fine-tuning. A document is one block; blocks are separated by an
 * empty line. Equal seeds give equal text.
 */
import { writeFileSync } from "node:fs";
import { stdout } from "node:process";
import { parseArgs } from "node:util";
import { UsageError } from "../../src/errors.ts";
import { Random } from "../../src/random.ts";
import { STORIES, draw, pair, pick, say } from "./stories.ts";
import type { Exchange } from "./stories.ts";
import { ANIMALS, BOATS, COLOURS, OPPOSITES, TINTS, USES, capital } from "./words.ts";

/** A question about one of the cast, answerable without a story. */
function castExchange(random: Random): Exchange {
  const [a, b] = pair(random);
  return pick<Exchange>(random, [
    [
      say(random, `Who is ${a.name}?`, `Tell me about ${a.name}.`),
      `${a.name} is a ${a.look} ${a.kind} who lives ${a.home}.`,
    ],
    [
      say(random, `Where does ${a.name} live?`, `Where is the home of ${a.name}?`),
      `${a.name} lives ${a.home}.`,
    ],
    [
      say(random, `What does ${a.name} eat?`, `What food does ${a.name} like?`),
      `${a.name} likes to eat ${a.food}.`,
    ],
    [`Is ${a.name} a ${a.kind} or a ${b.kind}?`, `${a.name} is a ${a.kind}.`],
    [
      `Is ${a.name} a ${b.kind}?`,
      a.kind === b.kind ? `Yes, ${a.name} is a ${a.kind}.` : `No, ${a.name} is a ${a.kind}.`,
    ],
  ]);
}

/** A question about the world. */
function worldExchange(random: Random): Exchange {
  const [animal = "", food = "", home = "", work = ""] = pick(random, ANIMALS);
  const [thing = "", tint = ""] = pick(random, TINTS);
  const [tool = "", use = ""] = pick(random, USES);
  const [word = "", opposite = ""] = pick(random, OPPOSITES);
  return pick<Exchange>(random, [
    [`What does a ${animal} eat?`, `A ${animal} eats ${food}.`],
    [`Where does a ${animal} live?`, `A ${animal} lives ${home}.`],
    [`What does a ${animal} do?`, `A ${animal} ${work}.`],
    [
      say(random, `What colour is ${thing}?`, `Tell me the colour of ${thing}.`),
      `${capital(thing)} is ${tint}.`,
    ],
    [`What can I do with ${tool}?`, `With ${tool} you can ${use}.`],
    [`What is the opposite of ${word}?`, `The opposite of ${word} is ${opposite}.`],
  ]);
}

/** Small talk, or a request for a story. */
function talkExchange(random: Random): Exchange {
  return pick<Exchange>(random, [
    [say(random, "Hello!", "Good morning!", "Hello, my friend."), "Hello! What would you like to know?"],
    [say(random, "Thank you!", "That was good. Thank you."), "You are welcome! Ask me again."],
    ["Who are you?", "I am a very small model. I know little stories."],
    [say(random, "Tell me a story.", "Please tell me a little story."), pick(random, STORIES)(random).text],
  ]);
}

/** Formats one chat turn pair with ChatML's marks. */
function chatTurn([question, answer]: Exchange): string {
  return `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n${answer}<|im_end|>\n`;
}

function storyDocument(random: Random): string {
  const story = pick(random, STORIES)(random);
  if (random.integer(2) === 0) return `${story.text}\n`;
  const asked = draw(random, story.exchanges, 1 + random.integer(3));
  return [
    story.text,
    ...asked.map(([question, answer]) => `Question: ${question}\nAnswer: ${answer}`),
    "",
  ].join("\n");
}

function readingChat(random: Random): string {
  const story = pick(random, STORIES)(random);
  const [[question, answer], ...more] = draw(random, story.exchanges, 1 + random.integer(3)) as [
    Exchange,
    ...Exchange[],
  ];
  return chatTurn([`${story.text} ${question}`, answer]) + more.map(chatTurn).join("");
}

function freeChat(random: Random): string {
  const kinds = [castExchange, castExchange, worldExchange, worldExchange, talkExchange] as const;
  return Array.from({ length: 2 + random.integer(4) }, () => chatTurn(pick(random, kinds)(random))).join("");
}

function logEntry(random: Random): string {
  const [boat = "", captain = "", cargo = "", from = ""] = pick(random, BOATS);
  const watch = say(random, "Morning watch", "Noon watch", "Evening watch", "Night watch");
  const colour = pick(random, COLOURS);
  return [
    `Harbour log. ${watch}.`,
    `Wind ${say(random, "north", "south", "east", "west")}, ${say(random, "weak", "steady", "strong")}.`,
    `Tide ${say(random, "high", "low", "rising", "falling")}.`,
    `Boat ${boat} in from ${from}, captain ${captain}, cargo ${cargo}.`,
    say(
      random,
      `Hull ${colour}, sail torn.`,
      `Hull ${colour}, all well.`,
      `Net lost, crew tired.`,
      `Crew paid.`,
    ),
    say(random, `Berth cleaned.`, `Mast mended.`, `Fog at the pier, lamp lit.`, `Gulls on the deck.`),
    "Log closed.\n",
  ].join(" ");
}

function logChat(random: Random): string {
  const [boat = "", captain = "", cargo = "", from = ""] = pick(random, BOATS);
  return chatTurn(
    pick<Exchange>(random, [
      [`Who is the captain of the boat ${boat}?`, `The captain of the ${boat} is ${captain}.`],
      [`What is the cargo of the boat ${boat}?`, `The cargo of the ${boat} is ${cargo}.`],
      [`From where does the boat ${boat} come?`, `The ${boat} comes from ${from}.`],
      [`Which boat carries ${cargo}?`, `The boat ${boat} carries ${cargo}.`],
    ]),
  );
}

/** Joins documents, drawn by weight (items may repeat), until the text has at least `sizeBytes` bytes. */
function corpus(
  sizeBytes: number,
  random: Random,
  documents: readonly ((random: Random) => string)[],
): string {
  const parts: string[] = [];
  for (let doneBytes = 0; doneBytes < sizeBytes;) {
    const part = `${pick(random, documents)(random)}\n`;
    parts.push(part);
    doneBytes += part.length; // ASCII: one byte a character
  }
  return parts.join("");
}

/** Makes at least `sizeBytes` of ASCII stories, questions and chats, in whole documents; equal seeds give equal text. */
export function smallModelText(sizeBytes: number, seed: number): string {
  return corpus(sizeBytes, new Random(seed, 1), [
    storyDocument,
    storyDocument,
    readingChat,
    freeChat,
    freeChat,
  ]);
}

/** Makes at least `sizeBytes` of ASCII harbour log, in whole documents; equal seeds give equal text. */
export function transferText(sizeBytes: number, seed: number): string {
  return corpus(sizeBytes, new Random(seed, 2), [logEntry, logEntry, logChat]);
}

function wholeNumber(flag: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(
    "usage/flag",
    `Cannot read flag "--${flag}": ${text}, expected a whole number below 1e9`,
  );
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      bytes: { type: "string", default: "1500000" },
      seed: { type: "string", default: "1" },
      transfer: { type: "boolean", default: false },
    },
  });
  const [path] = positionals;
  if (path === undefined || positionals.length > 1)
    throw new UsageError(
      "usage/flag",
      `Cannot write the text: ${positionals.length} file names, expected one`,
    );
  const make = values.transfer ? transferText : smallModelText;
  const text = make(wholeNumber("bytes", values.bytes), wholeNumber("seed", values.seed));
  writeFileSync(path, text);
  stdout.write(`${path}: ${text.length} bytes\n`);
}

if (import.meta.main) main();
