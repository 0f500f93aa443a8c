/** @file Keeps the pages of a Parquet row group that were decompressed for checks, since the library asks for each again. */
import type { Compressors } from "hyparquet";

/** Maximum bytes of kept pages; the other pages of a large group are decompressed twice. */
const MOST_BYTES = 1 << 27;
/**
 * How many kept pages of one size a page is compared with, in the order in which they were checked; comparisons take time. The
 * library reads the pages of a column in that order, so only pages of other columns can come before the right one.
 */
const MOST_LOOKS = 64;

interface KeptPage {
  readonly compressed: Uint8Array;
  readonly page: Uint8Array;
}

/**
 * Decompressors for the pages of one group: `check` keeps its results, up to a limit, and `read` reuses them. Pages are
 * recognised by their bytes, since the library reads copies.
 */
export function keepPages(compressors: Compressors): {
  readonly check: Compressors;
  readonly read: Compressors;
} {
  const kept = new Map<string, KeptPage[]>();
  let freeBytes = MOST_BYTES;
  const [check, read]: [Compressors, Compressors] = [{}, {}];
  for (const codec of Object.keys(compressors) as (keyof Compressors)[]) {
    const decompress = compressors[codec]!;
    const pagesLike = (compressed: Uint8Array, length: number): KeptPage[] => {
      const key = `${codec} ${compressed.length} ${length}`;
      const pages = kept.get(key) ?? [];
      kept.set(key, pages);
      return pages;
    };
    check[codec] = (compressed, length) => {
      const page = decompress(compressed, length);
      if (page.length <= freeBytes) {
        freeBytes -= page.length;
        pagesLike(compressed, length).push({ compressed, page });
      }
      return page;
    };
    read[codec] = (compressed, length) => {
      const pages = pagesLike(compressed, length);
      const index = pages.slice(0, MOST_LOOKS).findIndex((each) => isEqual(each.compressed, compressed));
      return index < 0 ? decompress(compressed, length) : pages.splice(index, 1)[0]!.page;
    };
  }
  return { check, read };
}

/** Compares arrays of one length; `every` instead of a loop would take as long as decompressing. */
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
