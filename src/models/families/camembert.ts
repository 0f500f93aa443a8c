/**
 * @file The CamemBERT family: RoBERTa for French, with a SentencePiece vocabulary.
 *
 * Paper: "CamemBERT: a Tasty French Language Model", arXiv:1911.03894.
 */
import type { Family } from "../family.ts";
import { roberta } from "./roberta.ts";

export const camembert: Family = {
  ...roberta,
  modelType: "camembert",
  summary: "CamemBERT for sequence classification",
  traits: "RoBERTa's blocks, names and head; its tokenizers are Unigram.",
};
