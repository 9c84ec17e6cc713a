import type { SampleFacts } from "../documents";

export const FILTERS: Record<string, string> = {
  "": "all images",
  right: "right before edits",
  wrong: "wrong before edits",
  broken: "right before, wrong after an edit",
  robust: "right before and after every edit",
};

export type Filter = string;

/** Samples that hold every word of a search and have an outcome. */
export function matching(samples: readonly SampleFacts[], search: string, filter: Filter): SampleFacts[] {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return samples.filter((facts) => {
    const text = [facts.id, facts.title, ...facts.objects].join(" ").toLowerCase();
    return words.every((word) => text.includes(word)) && outcome(facts, filter);
  });
}

function outcome(facts: SampleFacts, filter: Filter): boolean {
  const all = Object.values(facts.outcomes);
  if (filter === "right") return all.some((one) => one.baseline === true);
  if (filter === "wrong") return all.some((one) => one.baseline === false) && !all.some((one) => one.baseline === true);
  if (filter === "broken") return all.some((one) => one.broken.length > 0);
  if (filter === "robust") return all.some((one) => one.baseline === true) && all.every((one) => one.broken.length === 0);
  const match = /^broken:([^:]+)(?::(.*))?$/s.exec(filter);
  if (!match) return true;
  const [, study, condition] = match;
  const broken = Object.hasOwn(facts.outcomes, study as string) ? (facts.outcomes[study as string]?.broken ?? []) : [];
  return condition === undefined ? broken.length > 0 : broken.includes(condition);
}
