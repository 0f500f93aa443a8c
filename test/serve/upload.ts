/** @file An upload of training data, as OpenAI's clients send it to /v1/files. */

/** Makes the request for the content of a file of rows. */
export function uploadOf(content: string | Buffer<ArrayBuffer>): { method: "POST"; body: FormData } {
  const body = new FormData();
  body.set("purpose", "fine-tune");
  body.set("file", new File([content], "rows.jsonl"));
  return { method: "POST", body };
}
