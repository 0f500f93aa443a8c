/**
 * @file The XLM-RoBERTa family: RoBERTa for a hundred languages, with a SentencePiece vocabulary.
 *
 * Paper: "Unsupervised Cross-lingual Representation Learning at Scale", arXiv:1911.02116.
 */
import type { Family } from "../family.ts";
import { roberta } from "./roberta.ts";

export const xlmRoberta: Family = {
  ...roberta,
  modelType: "xlm-roberta",
  summary: "XLM-RoBERTa for sequence classification",
  traits: "RoBERTa's blocks, names and head; its tokenizers are Unigram.",
};
