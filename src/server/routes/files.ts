/** @file /v1/files: uploaded files with data for fine-tuning. */
import { z } from "zod";
import { NOT_ENDED, type UploadedFile } from "../../jobs/job.ts";
import type { JobTable } from "../../jobs/job-table.ts";
import { FILE_ANSWER, deletedAnswer, pageAnswer } from "../answers/list-answers.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import { requireData } from "../jobs/require-data.ts";
import { DATA_PURPOSE, requireFile, requireJobs } from "../jobs/require-jobs.ts";
import { readForm } from "../requests/multipart.ts";
import { FILE_QUERY, pageOf } from "../pages.ts";
import { defineRoute } from "../route.ts";

/** Most characters of a file's name. */
const MAX_NAME = 255;
const UPLOAD = z.strictObject({ file: z.file(), purpose: z.literal(DATA_PURPOSE) });

function refuse(message: string, param: string): never {
  throw invalidValue(message, param);
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
    if (form === null) refuse("Expected a multipart form with file and purpose", "file");
    for (const key of Object.keys(UPLOAD.shape)) {
      if (form.getAll(key).length > 1) refuse(`${key} is given more than once, expected once`, key);
    }
    const [file, purpose] = [form.get("file"), form.get("purpose")];
    if (!(file instanceof File))
      refuse("file is missing: expected a part of the form with a file name", "file");
    if (file.name.length > MAX_NAME) refuse(`The name of a file has at most ${MAX_NAME} characters`, "file");
    if (purpose !== DATA_PURPOSE) {
      refuse(
        `purpose is ${JSON.stringify(purpose)}, expected "${DATA_PURPOSE}": files are kept only for that`,
        "purpose",
      );
    }
    const foreign = [...form.keys()].find((key) => !(key in UPLOAD.shape));
    if (foreign !== undefined)
      refuse(`${foreign} is not supported: files stay until they are deleted`, foreign);
    const content = new Uint8Array(await file.arrayBuffer());
    await requireData(file.name, content, state.limits);
    const uploaded: UploadedFile = {
      id: `file-${state.newOrderedId()}`,
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
  summary: "List uploaded files, newest first",
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
  summary: "Describe a file",
  access: "train",
  body: null,
  answer: { whole: FILE_ANSWER },
  handle: async ({ context, state }) =>
    context.json(await requireFile(requireJobs(state).files, context.req.param("id") ?? "")),
});

export const getFileContent = defineRoute({
  method: "get",
  path: "/v1/files/:id/content",
  summary: "Download a file",
  access: "train",
  body: null,
  answer: { whole: "application/octet-stream" },
  handle: async ({ context, state }) => {
    const { files } = requireJobs(state);
    const file = await requireFile(files, context.req.param("id") ?? "");
    return context.body(await files.readContent(file), 200, { "content-type": "application/octet-stream" });
  },
});

/**
 * A job reads its files when it begins, and again when it resumes elsewhere. @throws ApiError 409 for files of an unfinished job
 */
async function requireUnused(id: string, table: JobTable): Promise<void> {
  const user = (await table.list({ statuses: NOT_ENDED })).find(({ job }) =>
    [job.training_file, job.validation_file].includes(id),
  );
  if (user === undefined) return;
  const message = `The job "${user.job.id}" needs the file "${id}": wait for it to end, or cancel it`;
  throw new ApiError(409, "file_in_use", message, { param: "file_id" });
}

export const deleteFile = defineRoute({
  method: "delete",
  path: "/v1/files/:id",
  summary: "Delete a file",
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
