/** @file What all objectives that learn classes share: the options of a new head, and the mean log loss. */
import { z } from "zod";
import { meanLogLoss } from "./losses/mean-log-loss.ts";
import type { Objective } from "./objective.ts";

/** The classes of a new head. */
const CLASS_OPTIONS = z
  .strictObject({
    classes: z
      .array(z.string().min(1))
      .min(2)
      .nullable()
      .default(null)
      .describe("class names, for a model without a classification head; default: those of the data"),
    numClasses: z
      .int()
      .min(2)
      .nullable()
      .default(null)
      .describe("number of classes, instead of names: the data numbers them from 0"),
  })
  .refine(({ classes }) => new Set(classes).size === (classes?.length ?? 0), {
    path: ["classes"],
    message: "expected distinct names",
  })
  .refine(
    ({ classes, numClasses }) => classes === null || numClasses === null || classes.length === numClasses,
    {
      path: ["numClasses"],
      message: "expected the number of classes, or only one of the two",
    },
  );

export type ClassObjective = Objective<z.output<typeof CLASS_OPTIONS>>;

export const OF_CLASSES = {
  paper: null,
  options: CLASS_OPTIONS,
  classes: ({ classes, numClasses }) => ({ names: classes, count: numClasses }),
  needs: [],
  rateFactor: 1,
  isSeparable: true,
  evaluate: meanLogLoss,
} satisfies Partial<ClassObjective>;
