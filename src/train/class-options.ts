/** @file Options of objectives that learn classes: those of a new head. */
import { z } from "zod";

/** The classes of a new head. */
export const CLASS_OPTIONS = z
  .strictObject({
    classes: z
      .array(z.string().min(1))
      .min(2)
      .nullable()
      .default(null)
      .describe("names of the classes, for a model without a head of classes; default: those of the data"),
    numClasses: z
      .int()
      .min(2)
      .nullable()
      .default(null)
      .describe("number of classes, instead of names: the data count them from 0"),
  })
  .refine(({ classes }) => new Set(classes).size === (classes?.length ?? 0), {
    path: ["classes"],
    message: "expected names that differ",
  })
  .refine(
    ({ classes, numClasses }) => classes === null || numClasses === null || classes.length === numClasses,
    {
      path: ["numClasses"],
      message: "expected as many as there are classes, or none of the two",
    },
  );
