/** @file /v1/files: data for fine-tuning. */
import type { UploadedFile } from "../../jobs/job.ts";
import type { StateFolder } from "../../jobs/state-folder.ts";
import { ApiError } from "../api-error.ts";
import { requireJobs } from "../fine-tuning.ts";
import { pageOf } from "../pages.ts";
import { defineRoute } from "../route.ts";

/** Characters of a file's name, and of its purpose. */
const MAX_NAME = 255;

/** Finds a file. @throws ApiError 404 */
export async function requireFile(files: StateFolder, id: string, param = "file_id"): Promise<UploadedFile> {
  const file = await files.readFile(id);
  if (file) return file;
  throw new ApiError(404, `There is no file "${id}"`, { code: "file_not_found", param });
}

/** Holds lines of JSON against what they should be. @throws ApiError 400 that names the line */
function requireLines(filename: string, content: Uint8Array): void {
  if (!filename.toLowerCase().endsWith(".jsonl")) return;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    throw new ApiError(400, `The file "${filename}" is not UTF-8`, { code: "invalid_file", param: "file" });
  }
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      JSON.parse(line);
    } catch {
      throw new ApiError(400, `Line ${index + 1} of "${filename}" is not JSON`, {
        code: "invalid_file",
        param: "file",
      });
    }
  }
}

/** Null: it is no multipart form. */
async function readForm(bytes: Uint8Array<ArrayBuffer>, type = ""): Promise<FormData | null> {
  if (!/^multipart\/form-data\b/i.test(type)) return null;
  return await new Response(bytes, { headers: { "content-type": type } }).formData().catch(() => null);
}

export const uploadFile = defineRoute({
  method: "post",
  path: "/v1/files",
  summary: "Upload a file (multipart form: file, purpose)",
  access: "train",
  body: null,
  handle: async ({ bytes, context, state }) => {
    const { files } = requireJobs(state);
    const form = await readForm(bytes, context.req.header("content-type"));
    const [file, purpose] = [form?.get("file"), form?.get("purpose")];
    const isFile = file instanceof File && file.name.length <= MAX_NAME;
    if (!isFile || typeof purpose !== "string" || purpose.length > MAX_NAME) {
      throw new ApiError(
        400,
        `A multipart form with file and purpose is expected, names of at most ${MAX_NAME} characters`,
        { code: "invalid_value", param: isFile ? "purpose" : "file" },
      );
    }
    const content = new Uint8Array(await file.arrayBuffer());
    requireLines(file.name, content);
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
  summary: "List uploaded files",
  access: "train",
  body: null,
  handle: async ({ context, state }) =>
    context.json(pageOf(context, await requireJobs(state).files.listFiles())),
});

export const getFile = defineRoute({
  method: "get",
  path: "/v1/files/:id",
  summary: "Tell of a file",
  access: "train",
  body: null,
  handle: async ({ context, state }) =>
    context.json(await requireFile(requireJobs(state).files, context.req.param("id") ?? "")),
});

export const deleteFile = defineRoute({
  method: "delete",
  path: "/v1/files/:id",
  summary: "Remove a file",
  access: "train",
  body: null,
  handle: async ({ context, state }) => {
    const { files } = requireJobs(state);
    const { id } = await requireFile(files, context.req.param("id") ?? "");
    await files.removeFile(id);
    return context.json({ id, object: "file", deleted: true });
  },
});
