/** @file Checks the form of a tokenizer.json before the library reads it, which takes some damage for an empty vocabulary. */
import { showValue } from "../../../messages/expected.ts";
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { isRecord, jsonKind } from "../../rows/row-error.ts";

/** Kinds of models that are implemented; older files do not name theirs. */
const KINDS = ["BPE", "WordPiece", "Unigram", "WordLevel"];

/** @throws Error that says what is wrong */
export function requireTokenizerForm({ tokenizer, tokens }: TokenizerFiles): void {
  const { model, added_tokens: added = [] } = tokenizer;
  if (!isRecord(model)) throw wrong("model", model, "an object with a vocabulary");
  const { type = null, merges = [] } = model;
  if (type !== null && !KINDS.includes(type as string))
    throw wrong("model.type", type, `one of ${KINDS.join(", ")}`);
  const { continuing_subword_prefix: prefix = null } = model;
  if (type === "BPE" && prefix !== null && prefix !== "")
    throw wrong("model.continuing_subword_prefix", prefix, "none where type is BPE");
  // For a file that lists its tokens, the vocabulary is made when it is first read.
  if (!tokens) requireVocabulary(model["vocab"], type);
  if (!Array.isArray(merges) || !merges.every(isMerge))
    throw wrong("model.merges", findOdd(merges, isMerge), "pairs of tokens");
  if (!Array.isArray(added) || !added.every(isAdded))
    throw wrong("added_tokens", findOdd(added, isAdded), "objects with content and id");
  requireOwnIds(added);
  if (!tokens) requireFreeIds(added, model["vocab"] as Vocabulary);
}

/** Refuses one id for two texts: both would be read as the same token, and decoded as the last of them. */
function requireOwnIds(added: readonly AddedToken[]): void {
  const contents = new Map<unknown, string>();
  for (const { id, content } of added) {
    const other = contents.get(id) ?? content;
    if (other !== content) {
      const both = `${JSON.stringify(other)} and ${JSON.stringify(content)}`;
      throw new Error(`added_tokens has ${both} with id ${showValue(id)}, expected one token per id`);
    }
    contents.set(id, content);
  }
}

/** Ids by tokens, or a list of tokens with scores. */
type Vocabulary = Readonly<Record<string, unknown>> | readonly (readonly [token: string, score: number])[];

/**
 * Requires that an added token has its own id in the vocabulary, or is not in it: other readers use the vocabulary's id, or the
 * next free one.
 */
function requireFreeIds(added: readonly AddedToken[], vocab: Vocabulary): void {
  const isFound = ({ id, content }: AddedToken): boolean =>
    isListed(vocab)
      ? vocab[id as number]?.[0] === content
      : Object.hasOwn(vocab, content) && vocab[content] === id;
  const others = added.filter((token) => !isFound(token));
  // Avoids a walk through hundreds of thousands of tokens, which most files do not need.
  if (others.length === 0) return;
  const [byId, byContent] = [
    new Map(others.map((token) => [token.id, token])),
    new Map(others.map((token) => [token.content, token])),
  ];
  const check = (token: string, id: unknown): void => {
    const other = byId.get(id) ?? byContent.get(token);
    if (other === undefined) return;
    const [own, given] = [other, { content: token, id }].map(
      ({ content, id }) => `${JSON.stringify(content)} with id ${showValue(id)}`,
    );
    throw new Error(`added_tokens has ${own} and model.vocab ${given}, expected one token per id`);
  };
  if (isListed(vocab)) for (const [id, [token]] of vocab.entries()) check(token, id);
  else for (const token in vocab) check(token, vocab[token]);
}

function isListed(vocab: Vocabulary): vocab is Extract<Vocabulary, readonly unknown[]> {
  return Array.isArray(vocab);
}

function requireVocabulary(vocab: unknown, type: unknown): void {
  const isList = Array.isArray(vocab);
  const isKnown = type === null ? isList || isRecord(vocab) : type === "Unigram" ? isList : isRecord(vocab);
  if (isKnown && !isEmpty(vocab as object)) return;
  const wanted = type === "Unigram" ? "a list of tokens with scores" : "tokens with their ids";
  throw new Error(`model.vocab is ${isKnown ? "empty" : jsonKind(vocab)}, expected ${wanted}`);
}

/** Does not list all keys: there may be hundreds of thousands. */
function isEmpty(value: object): boolean {
  for (const _key in value) return false;
  return true;
}

function isMerge(merge: unknown): boolean {
  return (
    typeof merge === "string" || (Array.isArray(merge) && merge.every((token) => typeof token === "string"))
  );
}

interface AddedToken {
  readonly content: string;
  readonly id?: unknown;
}

function isAdded(token: unknown): token is AddedToken {
  return isRecord(token) && typeof token["content"] === "string";
}

function findOdd(list: unknown, isRight: (each: unknown) => boolean): unknown {
  return Array.isArray(list) ? list.find((each) => !isRight(each)) : list;
}

function wrong(key: string, found: unknown, expected: string): Error {
  return new Error(`${key} is ${found === undefined ? "absent" : showValue(found)}, expected ${expected}`);
}
