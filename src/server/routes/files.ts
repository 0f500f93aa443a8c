/** @file /v1/files: uploaded files with data for fine-tuning. */
import { z } from "zod";
import { compressionOf } from "../../data/formats/file-kinds.ts";
import { parseJsonLineBytes } from "../../data/formats/json-rows.ts";
import { countLineEnds, decodeLines, findWrongByte } from "../../data/formats/utf8.ts";
import { isRecord } from "../../data/rows/row-error.ts";
import { type UploadedFile, hasEnded } from "../../jobs/job.ts";
import type { JobTable } from "../../jobs/job-table.ts";
import { dataEnding } from "../../jobs/state-folder.ts";
import { FILE_ANSWER, deletedAnswer, pageAnswer } from "../answers/list-answers.ts";
import { ApiError } from "../api-error.ts";
import { DATA_PURPOSE, requireFile, requireJobs } from "../jobs/require-jobs.ts";
import { describeJsonFault } from "../requests/json-fault.ts";
import { readForm } from "../requests/multipart.ts";
import { FILE_QUERY, pageOf } from "../pages.ts";
import { defineRoute } from "../route.ts";
import { inTurns } from "../texts/in-turns.ts";

/** Characters of a file's name. */
const MAX_NAME = 255;
const UPLOAD = z.strictObject({ file: z.file(), purpose: z.literal(DATA_PURPOSE) });

function refuse(message: string, param: string, code = "invalid_value"): never {
  throw new ApiError(400, code, message, { param });
}

/** Holds data against what can be told of it before it is read: that there is some, as text, and that lines are objects. @throws ApiError 400 that names the line */
async function requireData(filename: string, content: Uint8Array): Promise<void> {
  if (content.length === 0) refuse(`The file "${filename}" is empty`, "file", "invalid_file");
  if (compressionOf(filename) !== null) return;
  const end = dataEnding(filename);
  if (end === ".parquet") {
    if (isParquet(content)) return;
    refuse(`The file "${filename}" is not Parquet, or cut off`, "file", "invalid_file");
  }
  await inTurns(decodeLines(content, filename), () => {}).catch(() => {
    const line = 1 + countLineEnds(content.subarray(0, findWrongByte(content)));
    refuse(`Line ${line} of "${filename}" is not UTF-8`, "file", "invalid_file");
  });
  if (end === ".json") requireJson(filename, new TextDecoder().decode(content));
  if (end === ".jsonl") await requireRows(filename, content);
}

async function requireRows(filename: string, content: Uint8Array): Promise<void> {
  const rows = await inTurns(parseJsonLineBytes(content, filename), (row) => {
    const wanted = "fault" in row ? "JSON" : isRecord(row.value) ? null : "an object of JSON";
    if (wanted === null) return;
    refuse(`Line ${row.source.line} of "${filename}" is not ${wanted}`, "file", "invalid_file");
  });
  if (rows.length === 0) refuse(`The file "${filename}" has no rows`, "file", "invalid_file");
}

function requireJson(filename: string, text: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    refuse(`The file "${filename}" is not JSON: ${describeJsonFault(text, error)}`, "file", "invalid_file");
  }
}

/** Such files begin and end with the same four letters. */
function isParquet(content: Uint8Array): boolean {
  const [first, last] = [content.subarray(0, 4), content.subarray(-4)];
  return content.length > 8 && [first, last].every((bytes) => String.fromCharCode(...bytes) === "PAR1");
}

export const uploadFile = defineRoute({
  method: "post",
  path: "/v1/files",
  summary: "Upload a file",
  access: "train",
  body: null,
  answer: { whole: FILE_ANSWER },
  form: UPLOAD,
  handle: async ({ bytes, context, state }) => {
    const { files } = requireJobs(state);
    const form = await readForm(bytes, context.req.header("content-type"));
    if (form === null) refuse("A multipart form with file and purpose is expected", "file");
    const [file, purpose] = [form.get("file"), form.get("purpose")];
    if (!(file instanceof File)) refuse("file is expected: a part of the form that has a file name", "file");
    if (file.name.length > MAX_NAME) refuse(`The name of a file has at most ${MAX_NAME} characters`, "file");
    if (purpose !== DATA_PURPOSE) {
      refuse(
        `purpose is ${JSON.stringify(purpose)}, expected "${DATA_PURPOSE}": files are kept for that alone`,
        "purpose",
      );
    }
    const foreign = [...form.keys()].find((key) => !(key in UPLOAD.shape));
    if (foreign !== undefined) refuse(`${foreign} is not served: files stay until they are removed`, foreign);
    const content = new Uint8Array(await file.arrayBuffer());
    await requireData(file.name, content);
    const uploaded: UploadedFile = {
      id: `file-${state.newId()}`,
      object: "file",
      bytes: content.length,
      created_at: state.seconds(),
      filename: file.name,
      purpose,
      status: "processed",
    };
    await files.addFile(uploaded, content);
    return context.json(uploaded);
  },
});

export const listFiles = defineRoute({
  method: "get",
  path: "/v1/files",
  summary: "List uploaded files, the newest first",
  access: "train",
  query: FILE_QUERY,
  body: null,
  answer: { whole: pageAnswer(FILE_ANSWER) },
  handle: async ({ query, context, state }) => {
    const { purpose, order } = query;
    const files = await requireJobs(state).files.listFiles();
    const own = files.filter((file) => purpose === undefined || file.purpose === purpose);
    return context.json(pageOf(query, order === "asc" ? own : own.toReversed()));
  },
});

export const getFile = defineRoute({
  method: "get",
  path: "/v1/files/:id",
  summary: "Tell of a file",
  access: "train",
  body: null,
  answer: { whole: FILE_ANSWER },
  handle: async ({ context, state }) =>
    context.json(await requireFile(requireJobs(state).files, context.req.param("id") ?? "")),
});

export const getFileContent = defineRoute({
  method: "get",
  path: "/v1/files/:id/content",
  summary: "Give a file back",
  access: "train",
  body: null,
  answer: { whole: "application/octet-stream" },
  handle: async ({ context, state }) => {
    const { files } = requireJobs(state);
    const file = await requireFile(files, context.req.param("id") ?? "");
    return context.body(await files.readContent(file), 200, { "content-type": "application/octet-stream" });
  },
});

/** A job reads its files when it begins, and again when it goes on elsewhere. @throws ApiError 409 for those of one that has not ended */
async function requireUnused(id: string, table: JobTable): Promise<void> {
  const user = (await table.list()).find(
    ({ job }) => !hasEnded(job) && [job.training_file, job.validation_file].includes(id),
  );
  if (user === undefined) return;
  const message = `The job "${user.job.id}" needs the file "${id}": wait for its end, or cancel it`;
  throw new ApiError(409, "file_in_use", message, { param: "file_id" });
}

export const deleteFile = defineRoute({
  method: "delete",
  path: "/v1/files/:id",
  summary: "Remove a file",
  access: "train",
  body: null,
  answer: { whole: deletedAnswer("file") },
  handle: async ({ context, state }) => {
    const { files, queue } = requireJobs(state);
    const { id } = await requireFile(files, context.req.param("id") ?? "");
    await requireUnused(id, queue.table);
    await files.removeFile(id);
    return context.json({ id, object: "file", deleted: true });
  },
});
