/**
 * @file The XLM-RoBERTa family: RoBERTa in a hundred languages, with a vocabulary of SentencePiece.
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
