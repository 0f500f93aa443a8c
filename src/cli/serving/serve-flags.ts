/** @file The flags of `graft serve`. */
import { z } from "zod";
import { CO_TRAININGS } from "../../engine/scheduling/co-training.ts";
import { DEFAULT_TARGETS } from "../../engine/scheduling/service-targets.ts";
import { DEFAULT_POLICY, TURN_POLICIES } from "../../engine/scheduling/turn-policies.ts";
import { parseByteSize } from "../../messages/byte-size.ts";
import { SECRET_FORMAT, SECRET_URL_FORMAT, URL_FORMAT } from "../../messages/expected.ts";
import { sizeSetting } from "../../messages/size-setting.ts";
import { ONE_LINE_NAME } from "../../server/one-line-name.ts";
import { MODEL_FLAGS } from "../model/model-flags.ts";
import { WRITING_FLAGS } from "../texts/generation.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";

const { adapter: _, ...MODEL } = WRITING_FLAGS;

/** Location of files for servers and workers that do not share a folder. */
export const STORE = z
  .string()
  .meta({ format: URL_FORMAT })
  .optional()
  .describe(
    "s3://BUCKET/PREFIX in an S3-compatible store for files and runs, instead of a shared folder; AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY give its address and credentials",
  );

/** Typed as a size, converted to bytes. */
const BYTE_SIZE = sizeSetting().transform((text) => parseByteSize(text)!);

/** The longest wait of a Node timer. */
const MAX_SECONDS = Math.floor((2 ** 31 - 1) / 1000) - 1;

/** Whether a browser could send a text as an origin. */
function isOrigin(text: string): boolean {
  if (!/^https?:/.test(text)) return /^(\*|[a-z][a-z\d+.-]*:\/\/[^/\s]+)$/.test(text);
  return URL.canParse(text) && new URL(text).origin === text;
}

/** The database of jobs shared by several processes; secret, since its URL may contain a password. */
export const DATABASE = z
  .string()
  .meta({ format: SECRET_URL_FORMAT })
  .refine((text) => /^postgres(ql)?:\/\//.test(text), "expected a URL that begins with postgres://");

/** An API key that requests can send: the header cannot contain blanks in one. */
export const API_KEY = z
  .string()
  .meta({ format: SECRET_FORMAT })
  .trim()
  .regex(/^\S{8,}$/, "text of at least 8 characters without spaces");

export type ServeOptions = z.output<typeof SERVE_OPTIONS>;
export const SERVE_OPTIONS = z.strictObject({
  ...MODEL,
  adapter: z
    .array(NAME_OR_PATH)
    .default([])
    .describe("Adapters to serve: NAME=FOLDER, or a folder, which gives the adapter its name"),
  adapterRoot: PATH.optional().describe(
    "Folder of further adapters: a request whose model is the name of a folder in it loads that adapter; admin keys may load any of them under another name",
  ),
  servedModelName: ONE_LINE_NAME.optional().describe(
    "Name of the base as clients see it; default: that of the model",
  ),
  cacheMemory: BYTE_SIZE.optional().describe(
    "Memory for keys and values; default: enough for one text of full length, between 512MB and 2GB",
  ),
  maxBatch: z.int().positive().default(16).describe("Texts generated at once; the others wait"),
  state: PATH.optional().describe(
    "Folder for uploaded files and fine-tuning jobs; without it the server trains nothing",
  ),
  database: DATABASE.optional().describe(
    "URL of a PostgreSQL database for jobs, which graft worker processes then train; without it jobs are kept in the state folder and trained by the server",
  ),
  store: STORE,
  maxJobs: z.int().positive().default(100).describe("Fine-tuning jobs that may be queued; more are refused"),
  concurrentJobs: z
    .int()
    .positive()
    .default(1)
    .describe("Fine-tuning jobs that train at once, taking turns block by block; the others wait"),
  trainCompute: MODEL_FLAGS.compute.describe(
    "Arithmetic of the matrix products in training, which may differ from that of text generation (docs/storage.md)",
  ),
  policy: z
    .enum(TURN_POLICIES.map(({ name }) => name))
    .default(DEFAULT_POLICY)
    .describe("How training and text generation share the machine (docs/serving.md)"),
  coTraining: z
    .enum(CO_TRAININGS)
    .default("slices")
    .describe(
      "Forward passes of training; slices: take turns with text generation, block by block; flat: run as one batch with it, in float32",
    ),
  targetQueueMs: z
    .number()
    .positive()
    .default(DEFAULT_TARGETS.queueMs)
    .describe(
      "Target for the longest wait of a request before its first step while training runs, in milliseconds",
    ),
  targetFirstTokenMs: z
    .number()
    .positive()
    .default(DEFAULT_TARGETS.firstTokenMs)
    .describe("Target for the time from a request to its first token, in milliseconds"),
  targetTokenMs: z
    .number()
    .positive()
    .default(DEFAULT_TARGETS.tokenMs)
    .describe("Target for the average time between two tokens of a text, in milliseconds"),
  maxAdapters: z.int().positive().default(16).describe("Unused adapters that stay in memory"),
  updateMemory: BYTE_SIZE.prefault("2GB").describe(
    "Memory for weight-sized updates, which some methods need: texts with such adapters share a pass as long as their updates fit, and take turns otherwise",
  ),
  host: z.string().default("127.0.0.1").describe("Address to listen on"),
  port: z.int().min(0).max(65_535).default(8080).describe("Port to listen on; 0: any free port"),
  apiKey: z
    .array(API_KEY)
    .default([])
    .describe(
      "API keys with full access, in addition to those made by graft keys; default: GRAFT_API_KEY. If there are any keys, clients must send one",
    ),
  cors: z
    .array(z.string().refine(isOrigin, "expected an origin such as https://example.org, without a path"))
    .default([])
    .describe("Origins of web pages that may call the server; *: all"),
  tlsCert: PATH.optional().describe("Certificate chain for HTTPS, a PEM file; needs --tls-key"),
  tlsKey: PATH.optional().describe("Private key of the certificate, a PEM file"),
  rateLimit: z
    .int()
    .positive()
    .optional()
    .describe("Requests per minute and key, or per address if no keys are in use"),
  maxBody: BYTE_SIZE.prefault("16MB").describe("Largest request body"),
  maxRequestTokens: z
    .int()
    .positive()
    .optional()
    .describe("Maximum tokens per request: prompts plus new tokens, over all of its texts"),
  maxWaiting: z
    .int()
    .min(0)
    .default(256)
    .describe("Texts that may be queued; more are refused with status 503"),
  requestTimeout: z
    .number()
    .positive()
    .max(MAX_SECONDS)
    .default(600)
    .describe("Maximum seconds for a request to complete"),
  clientTimeout: z
    .number()
    .positive()
    .max(MAX_SECONDS)
    .default(60)
    .describe(
      "Maximum seconds for a client to send a request, read the answer, or send the next request on a connection",
    ),
  drainSeconds: z
    .number()
    .min(0)
    .max(MAX_SECONDS)
    .default(30)
    .describe("How long running requests may continue after the server is told to stop"),
});

/** Title → flags. */
export const SERVE_GROUPS = {
  model: [...Object.keys(MODEL), "adapter", "adapterRoot", "servedModelName"],
  engine: ["cacheMemory", "maxBatch", "maxAdapters", "updateMemory"],
  training: [
    "state",
    "database",
    "store",
    "maxJobs",
    "concurrentJobs",
    "trainCompute",
    "policy",
    "coTraining",
    "targetQueueMs",
    "targetFirstTokenMs",
    "targetTokenMs",
  ],
  server: ["host", "port", "apiKey", "cors", "tlsCert", "tlsKey", "drainSeconds"],
  limits: ["rateLimit", "maxBody", "maxRequestTokens", "maxWaiting", "requestTimeout", "clientTimeout"],
};
