/** @file ONNX Runtime reports its use to its makers unless an environment variable forbids it when the library is loaded. */

/**
 * Forbids it unless the user has set the variable, since graft sends nothing anywhere. Call it before the library is loaded. The
 * reporting thread has also been seen to wait forever for the library loader's lock when a process ends.
 */
export function declineTelemetry(): void {
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
}
