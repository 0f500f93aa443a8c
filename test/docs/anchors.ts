/** @file Anchors of Markdown pages, by GitHub's rules, and the links that lead to them. */

/** A link to a file of the repository, as it stands: `[text](target#anchor)`. */
interface PageLink {
  /** Empty for a link within the page. */
  readonly target: string;
  readonly anchor: string | null;
}

/** Finds the anchors of a page's headings; one that comes again has a number. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  const counts = new Map<string, number>();
  for (const [, heading = ""] of markdown.replaceAll(/^```[^]*?^```$/gm, "").matchAll(/^#{1,6} +(.+)$/gm)) {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = text.replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, "").replaceAll(" ", "-");
    const count = counts.get(anchor) ?? 0;
    counts.set(anchor, count + 1);
    anchors.add(count === 0 ? anchor : `${anchor}-${count}`);
  }
  return anchors;
}

/** Finds the links of a page that stay in the repository. */
export function pageLinks(markdown: string): PageLink[] {
  return [...markdown.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)].map(([, target = "", anchor]) => ({
    target,
    anchor: anchor ?? null,
  }));
}
