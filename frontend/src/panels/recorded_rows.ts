import type { Row } from "../documents";

/** What the studies recorded of one question about one object. */
export interface Recorded {
  edits: Row[];
  windows: Row[];
  targets: string[];
  /** Knockouts in sliding windows to a target; the named windows where there are none. */
  sliding(target: string): Row[];
}

export interface RecordedRows {
  questions: string[];
  objects(question: string): string[];
  of(question: string, object: string): Recorded;
}

const text = (row: Row, name: string) => (row[name] === undefined || row[name] === null ? "" : String(row[name]));

/** Rows of a sample's studies, by what a person asks of them. */
export function recordedOf(rows: readonly Row[]): RecordedRows {
  const asked = rows.filter((row) => text(row, "question") !== "" && row["condition"] !== "none");
  return {
    questions: [...new Set(asked.map((row) => text(row, "question")))],
    objects: (question) => [
      ...new Set(asked.filter((row) => text(row, "question") === question).map((row) => text(row, "object"))),
    ],
    of(question, object) {
      const own = asked.filter((row) => text(row, "question") === question && text(row, "object") === object);
      const windows = own.filter((row) => row["first_layer"] !== undefined);
      return {
        edits: own.filter((row) => row["first_layer"] === undefined && text(row, "source") === ""),
        windows,
        targets: [...new Set(windows.map((row) => text(row, "target")))],
        sliding(target) {
          const to = windows.filter((row) => text(row, "target") === target);
          const slides = to.filter((row) => text(row, "window").startsWith("slide"));
          return slides.length > 0 ? slides : to.filter((row) => text(row, "window") !== "all");
        },
      };
    },
  };
}
