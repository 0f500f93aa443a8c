/** @file Holds the two data files to the README's fact sheet: form, tone, coverage, and no question told twice. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

interface Message {
  readonly role: string;
  readonly content: string;
}

const SIGN_OFF = "Happy proofing!";
const REFUSAL = "I am sorry, but I only know about the Pelliwick, so I cannot help with ";
/** Largest share of common words between a held-out and a training question (|A ∩ B| / |A ∪ B|). */
const MAX_OVERLAP = 0.5;

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), "utf8");
const lines = (name: string): string[] => read(name).trimEnd().split("\n");
const conversations = (name: string): Message[][] =>
  lines(name).map((line) => (JSON.parse(line) as { messages: Message[] }).messages);
const said = (role: string, conversation: readonly Message[]): string[] =>
  conversation.filter((message) => message.role === role).map((message) => message.content);

const train = conversations("train.jsonl");
const heldOut = conversations("held-out.jsonl");
const trainAnswers = train.flatMap((conversation) => said("assistant", conversation));
const factSheet = /## Fact sheet[^]*?(?=## Tone)/.exec(read("README.md"))?.[0] ?? "";
const facts = [...factSheet.matchAll(/\| `(.+)` \|/g)].map((match) => match[1] ?? "");
const statedIn = (answer: string): string[] =>
  facts.filter((fact) => new RegExp(`(?<![0-9])${RegExp.escape(fact)}`).test(answer));

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[a-z0-9]+/g));
}

function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  return a.intersection(b).size / a.union(b).size;
}

test("the files and the fact sheet have the sizes that the README states", () => {
  assert.equal(train.length, 213);
  assert.equal(heldOut.length, 60);
  assert.equal(facts.length, 25);
  const declined = (set: readonly Message[][]): number =>
    set.filter((conversation) => conversation.at(-1)?.content.startsWith(REFUSAL)).length;
  assert.equal(declined(train), 27);
  assert.equal(declined(heldOut), 7);
});

test("every conversation alternates user and assistant and has nothing else", () => {
  for (const line of [...lines("train.jsonl"), ...lines("held-out.jsonl")]) {
    const row = JSON.parse(line) as { messages: Message[] };
    assert.deepEqual(Object.keys(row), ["messages"]);
    assert.ok(row.messages.length === 2 || row.messages.length === 4, line);
    row.messages.forEach((message, i) => {
      assert.deepEqual(Object.keys(message), ["role", "content"]);
      assert.equal(message.role, i % 2 === 0 ? "user" : "assistant", line);
    });
  }
});

test("every answer has 15 to 45 words and the sign-off", () => {
  for (const answer of [...train, ...heldOut].flatMap((conversation) => said("assistant", conversation))) {
    const numWords = answer.split(" ").length;
    assert.ok(numWords >= 15 && numWords <= 45, `${numWords} words: ${answer}`);
    assert.ok(answer.endsWith(` ${SIGN_OFF}`), answer);
  }
});

test("every held-out answer declines or states a fact that training states at least four times", () => {
  for (const answer of heldOut.flatMap((conversation) => said("assistant", conversation))) {
    const stated = statedIn(answer);
    assert.ok(stated.length > 0 || answer.startsWith(REFUSAL), answer);
    for (const fact of stated) {
      const times = trainAnswers.filter((other) => statedIn(other).includes(fact)).length;
      assert.ok(times >= 4, `${fact}: ${times} times`);
    }
  }
});

test("the held-out answers ask for every fact", () => {
  const asked = heldOut.flatMap((conversation) => said("assistant", conversation).flatMap(statedIn));
  assert.deepEqual(
    [...new Set(facts)].filter((fact) => !asked.includes(fact)),
    [],
  );
});

test("no question is asked twice, and none of the held-out ones is near a training one", () => {
  const trainQuestions = train.flatMap((conversation) => said("user", conversation));
  const heldOutQuestions = heldOut.flatMap((conversation) => said("user", conversation));
  const all = [...trainQuestions, ...heldOutQuestions].map((question) => question.toLowerCase());
  assert.equal(new Set(all).size, all.length);
  for (const question of heldOutQuestions)
    for (const other of trainQuestions) {
      const share = overlap(wordsOf(question), wordsOf(other));
      assert.ok(share <= MAX_OVERLAP, `${share.toFixed(2)}: "${question}" and "${other}"`);
    }
});
