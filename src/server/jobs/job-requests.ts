/** @file Schemas of the requests that make fine-tuning jobs. Names are OpenAI's where it has them, otherwise graft's own. */
import { z } from "zod";
import { AVERAGING, averagingProblems } from "../../jobs/training/averaging.ts";
import { foreignSettings } from "../../jobs/training/job-settings.ts";
import { contradictionsOf } from "../../jobs/training/two-forms.ts";
import { ASKED_HYPERPARAMETERS, AUTO, type Hyperparameters, JOB_METHODS } from "../../jobs/job.ts";
import { METADATA } from "../requests/metadata.ts";

const OWN = z.strictObject({ hyperparameters: ASKED_HYPERPARAMETERS.optional() });

/** A training method, with its settings nested under its name, as newer clients send them. */
const METHOD = z
  .object({ type: z.enum(JOB_METHODS) })
  .catchall(OWN)
  .refine((method) => Object.keys(method).every((key) => key === "type" || key === method.type), {
    message: "expected only settings of its own type",
  });

const FIELDS = z.strictObject({
  model: z.string().max(512).describe("Name of the base, or of an adapter to continue training"),
  training_file: z.string().describe("Id of an uploaded file"),
  validation_file: z.string().nullish().describe("Id of an uploaded file with held-out data"),
  method: METHOD.nullish(),
  hyperparameters: ASKED_HYPERPARAMETERS.nullish(),
  suffix: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[\w.-]+$/, "letters, digits, - _ and .")
    .nullish()
    .describe("Part of the name of the trained model"),
  seed: z.int().min(0).nullish(),
  resume_from: z
    .string()
    .nullish()
    .describe("Checkpoint of the same job on another server to resume from: a folder below --adapter-root"),
  metadata: METADATA.nullish().describe("Up to 16 key-value pairs, by which jobs can be listed"),
  integrations: z
    .array(z.unknown())
    .refine((list) => list.length === 0, "expected none: the progress of a job is in its events")
    .nullish(),
  graft: z
    .looseObject({ averaging: AVERAGING.optional() })
    .superRefine((given, context) => {
      for (const { key, found, hint } of foreignSettings(given)) {
        const message = `${found}: ${hint.charAt(0).toLowerCase()}${hint.slice(1, -1)}`;
        context.addIssue({ code: "custom", path: [key], message });
      }
    })
    .nullish()
    .describe(
      'Settings of graft train by their names in JSON, such as {"maxLength": 256}; averaging splits the training',
    ),
});

type Fields = z.output<typeof FIELDS>;

/** The hyperparameters of a request, from either place. */
export function hyperparametersOf({ hyperparameters, method }: Fields): Hyperparameters {
  // Not parsed again, since their problems are reported together with all others.
  const nested = method?.[method.type];
  return nested?.hyperparameters ?? hyperparameters ?? AUTO;
}

/** The key of a request that contains its hyperparameters. */
export function hyperparametersKey({ hyperparameters, method }: Fields): string {
  return hyperparameters != null || method == null
    ? "hyperparameters"
    : `method.${method.type}.hyperparameters`;
}

/** Whether both places for hyperparameters are used; one would be ignored. */
function hasBoth({ hyperparameters, method }: Fields): boolean {
  return hyperparameters != null && method != null && method[method.type] !== undefined;
}

export const JOB_REQUEST = FIELDS.superRefine((request, context) => {
  if (hasBoth(request)) {
    const message = "is given in addition to those of method: give them in one place";
    context.addIssue({ code: "custom", path: ["hyperparameters"], message });
  }
  const problems = averagingProblems(request.graft ?? {}, (key) => request[key] != null);
  const { graft, seed = null, method } = request;
  const form = {
    seed,
    type: method?.type ?? null,
    hyperparameters: hyperparametersOf(request),
    place: hyperparametersKey(request),
  };
  for (const { path, message } of [...problems, ...contradictionsOf(graft ?? {}, form)])
    context.addIssue({ code: "custom", path: [...path], message });
});
export type JobRequest = z.output<typeof JOB_REQUEST>;
