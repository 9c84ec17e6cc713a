import type { Row } from "../documents";

/** What one study recorded of one question about one object, judged by one set of rules. */
export interface Recorded {
  /** The studies and sets of rules that have rows of it; "pocket-ablation, corrected". */
  records: string[];
  /** The one that `edits` are of. */
  record: string;
  edits: Row[];
  windows: Row[];
  targets: string[];
  /** Knockouts in sliding windows to a target; the named windows where there are none. */
  sliding(target: string): Row[];
}

export interface RecordedRows {
  questions: string[];
  objects(question: string): string[];
  /** By default the first record by the corrected rules. */
  of(question: string, object: string, record?: string): Recorded;
}

const text = (row: Row, name: string) => (row[name] === undefined || row[name] === null ? "" : String(row[name]));

const recordOf = (row: Row) => [text(row, "study"), text(row, "mode")].filter(Boolean).join(", ");
const isEdit = (row: Row) => row["first_layer"] === undefined && row["target"] === undefined;

/** Rows of a sample's studies, by what a person asks of them. */
export function recordedOf(rows: readonly Row[]): RecordedRows {
  const asked = rows.filter((row) => text(row, "question") !== "" && row["condition"] !== "none");
  return {
    questions: [...new Set(asked.map((row) => text(row, "question")))],
    objects: (question) => [
      ...new Set(asked.filter((row) => text(row, "question") === question).map((row) => text(row, "object"))),
    ],
    of(question, object, record) {
      const own = asked.filter((row) => text(row, "question") === question && text(row, "object") === object);
      // Another model's rows, or the same answers under other rules, are another record.
      const cut = own.filter((row) => row["first_layer"] !== undefined);
      const windows = cut.filter((row) => text(row, "study") === text(cut[0]!, "study"));
      const edits = own.filter(isEdit);
      const records = [...new Set(edits.map(recordOf))];
      const main = edits.find((row) => row["mode"] === "corrected") ?? edits[0];
      const chosen = record !== undefined && records.includes(record) ? record : main ? recordOf(main) : "";
      return {
        records,
        record: chosen,
        // A set that was empty here, such as no registers, replaced nothing.
        edits: edits.filter((row) => recordOf(row) === chosen && row["n_tokens"] !== 0),
        windows,
        targets: [...new Set(windows.map((row) => text(row, "target")))],
        sliding(target) {
          const to = windows.filter((row) => text(row, "target") === target);
          const slides = to.filter((row) => row["window"] === "sliding");
          return slides.length > 0 ? slides : to.filter((row) => text(row, "window") !== "all");
        },
      };
    },
  };
}
