/** @file The list of all routes, in the order in which they are tried. */
import type { Route } from "./route.ts";
import { loadAdapter, unloadAdapter } from "./routes/adapters.ts";
import { chatCompletions } from "./routes/chat-completions.ts";
import { classify } from "./routes/classify.ts";
import { completions } from "./routes/completions.ts";
import { createJob } from "./routes/create-job.ts";
import { embeddings } from "./routes/embeddings.ts";
import { deleteFile, getFile, getFileContent, listFiles, uploadFile } from "./routes/files.ts";
import {
  cancelJob,
  getJob,
  listJobCheckpoints,
  listJobEvents,
  listJobs,
  pauseJob,
  resumeJob,
} from "./routes/fine-tuning-jobs.ts";
import { health, metrics, ready } from "./routes/health.ts";
import { deleteModel, getModel, listModels } from "./routes/models.ts";
import { openApiRoute } from "./routes/openapi.ts";
import { RERANK_ROUTES } from "./routes/rerank.ts";
import { exportRequest, importRequest } from "./routes/requests.ts";
import { responses } from "./routes/responses.ts";
import { detokenize, tokenize } from "./routes/tokenize.ts";

/** The routes whose streams can continue in another server. */
const STREAMS: readonly Route[] = [chatCompletions, completions, responses];

const DESCRIBED: readonly Route[] = [
  ...STREAMS,
  embeddings,
  classify,
  ...RERANK_ROUTES,
  listModels,
  getModel,
  deleteModel,
  loadAdapter,
  unloadAdapter,
  uploadFile,
  listFiles,
  getFile,
  getFileContent,
  deleteFile,
  createJob,
  listJobs,
  getJob,
  listJobEvents,
  listJobCheckpoints,
  cancelJob,
  pauseJob,
  resumeJob,
  exportRequest,
  importRequest(STREAMS),
  tokenize,
  detokenize,
  health,
  ready,
  metrics,
];

export const ROUTES: readonly Route[] = [...DESCRIBED, openApiRoute(DESCRIBED)];
