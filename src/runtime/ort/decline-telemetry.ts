/** @file ONNX Runtime tells its makers how it is used, unless the environment says no when it is loaded. */

/**
 * Says no, unless whoever started the process has decided. To be called before the library is loaded: graft sends nothing
 * anywhere. At the end of a process the thread that reports has also been seen to wait for ever for the loader of libraries.
 */
export function declineTelemetry(): void {
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
}
