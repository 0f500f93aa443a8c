/**
 * @file Reads the certificate and the key of a server, and checks that they belong together before the server does anything else.
 */
import { X509Certificate, createPrivateKey } from "node:crypto";
import { createSecureContext } from "node:tls";
import { FormatError, UsageError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { toFailedRead } from "../../messages/system-error.ts";

/** Certificate and key as PEM text. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads certificate and key; null: neither is given.
 * @throws UsageError "usage/flag" for one without the other, or a key of another certificate; FormatError "format/file"
 */
export async function readTls(certPath?: string, keyPath?: string): Promise<TlsFiles | null> {
  if (certPath === undefined && keyPath === undefined) return null;
  if (certPath === undefined || keyPath === undefined) {
    const [given, missing] = certPath === undefined ? ["key", "cert"] : ["cert", "key"];
    throw new UsageError("usage/flag", `Cannot serve HTTPS with only --tls-${given}: expected both files`, {
      hint: `Give --tls-${missing} as well.`,
    });
  }
  const [cert, key] = await Promise.all([readText(certPath), readText(keyPath)]);
  const certificate = requirePem("certificate", certPath, () => new X509Certificate(cert));
  if (/\bENCRYPTED\b/.test(key)) {
    throw new FormatError(
      "format/file",
      `Cannot read private key "${keyPath}": it is encrypted with a passphrase, expected a key without one`,
      { hint: "Decrypt it: openssl pkey -in LOCKED -out KEY." },
    );
  }
  const privateKey = requirePem("private key", keyPath, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new UsageError(
      "usage/flag",
      `Cannot serve HTTPS with key "${keyPath}": it does not belong to certificate "${certPath}"`,
      { hint: "Give the key with which the certificate was requested." },
    );
  }
  requirePem("certificate", certPath, () => createStrongContext(certPath, { cert, key }));
  return { cert, key };
}

/** @throws UsageError "usage/flag" for keys and hashes that TLS considers too weak; as the library */
function createStrongContext(certPath: string, files: TlsFiles): void {
  try {
    createSecureContext(files);
  } catch (error) {
    const { reason = "" } = Object(error) as { readonly reason?: string };
    if (!/too (?:small|weak)$/.test(reason)) throw error;
    throw new UsageError(
      "usage/flag",
      `Cannot serve HTTPS with certificate "${certPath}": ${reason}, expected a stronger one`,
      { hint: "Use a certificate for an elliptic-curve key, or for an RSA key of at least 2048 bits." },
    );
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await disk().readFile(path, "utf8");
  } catch (error) {
    throw toFailedRead(error, path);
  }
}

function requirePem<T>(what: string, path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    // The library's message may contain parts of the file.
    throw new FormatError(
      "format/file",
      `Cannot read ${what} "${path}": it is damaged, expected a PEM file`,
      { hint: `Give the PEM file of a ${what}, without a passphrase.`, cause },
    );
  }
}
