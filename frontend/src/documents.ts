/** The documents that Python writes, as `src/retinoscope/viewer/_documents.py` defines them. */

export interface Packed {
  dtype: "f4" | "i4" | "u1";
  shape: number[];
  data: string;
}

export interface CapabilityFacts {
  name: string;
  ok: boolean;
  why: string;
}

/** What the numbers of a lens are; a similarity is a cosine. */
export type Unit = "probability" | "similarity";

/** A kind of lens; `command` makes the file of one that is fitted, `why` says why not or on what. */
export interface LensFacts {
  name: string;
  ok: boolean;
  why: string;
  command: string;
}

export interface ModelFacts {
  name: string;
  family: string;
  n_layers: number;
  n_heads: number;
  d_model: number;
  vocab_size: number;
}

export interface StudyFacts {
  id: string;
  name: string;
  title: string;
  conditions: string[];
  /** What can be shown of it besides tables. */
  views: ("flow" | "maps")[];
}

export interface Outcome {
  baseline: boolean | null;
  broken: string[];
}

export interface SampleFacts {
  index: number;
  id: string;
  title: string;
  thumb: string | null;
  objects: string[];
  outcomes: Record<string, Outcome>;
}

export interface ViewerManifest {
  version: number;
  mode: "static" | "live" | "widget";
  title: string;
  model: ModelFacts | null;
  capabilities: CapabilityFacts[];
  studies: StudyFacts[];
  samples: SampleFacts[];
  lenses: LensFacts[];
  mean?: string;
  question?: string;
}

export interface Frame {
  name: string;
  first: number;
  count: number;
  grid: [number, number] | null;
}

export interface Visual {
  n: number;
  positions: number[];
  boxes: Packed;
  rows: number[];
  cols: number[];
  grid: [number, number] | null;
  frames: Frame[];
  unplaced: { token: number; label: string }[];
}

export interface RunLengths {
  size: [number, number];
  counts: number[];
}

export interface SceneObject {
  name: string;
  colour: string | null;
  tokens: number[];
  mask: RunLengths;
  box: [number, number, number, number];
}

export interface QuestionResult {
  question: string;
  answer: string;
  predicted: string | null;
  correct: boolean | null;
}

export type Cell = string | number | boolean | null | undefined;
export type Row = Record<string, Cell>;

export interface SampleDocument {
  index: number;
  id: string;
  image: { src: string | null; width: number; height: number } | null;
  prompt: { text: string; tokens: string[]; kinds: string[] } | null;
  visual: Visual | null;
  objects: SceneObject[];
  questions: QuestionResult[];
  rows: Row[];
  has: { lens: boolean; attention: boolean };
  note?: string;
  categories?: CategoryMap[];
}

/** One class per token and layer; -1 is none. */
export interface CategoryMap {
  name: string;
  note: string;
  classes: string[];
  layers: string[];
  values: Packed;
}

/** Words in sentences: a place is a sentence, the word's start and end in it, a text layer. */
export interface WordContexts {
  sentences: string[];
  places: Packed;
  ids: Packed;
}

export interface LensDocument {
  kind: string;
  unit: Unit;
  layers: number[];
  n: number;
  k: number;
  words: string[];
  ids: Packed;
  values: Packed;
  positions: number[];
  contexts: WordContexts | null;
  note: string;
}

export interface WordDocument {
  word: string;
  values: Packed;
  rank: Packed;
}

export interface AttentionDocument {
  query: number;
  token: string;
  layers: number;
  heads: number;
  weights: Packed;
  rest: Record<string, Packed>;
  missing: { layer: number; why: string }[];
}

export interface Candidate {
  word: string;
  id: number;
  prob: number;
}

export interface AnswerDocument {
  text: string;
  candidates: Candidate[];
  chosen: Candidate;
  ms: number;
  path: string;
}

export interface EffectDocument {
  before: AnswerDocument;
  after: AnswerDocument;
  edits: unknown[];
  word: { word: string; before: number; after: number } | null;
  tokens: number;
  ms: number;
  path: string;
  python: string;
}

export interface WindowFacts {
  name: string;
  first: number;
  last: number;
}

export interface FlowDocument {
  sources: string[];
  targets: string[];
  windows: WindowFacts[];
  value: Packed;
  low: Packed;
  high: Packed;
  n: Packed;
  samples: Record<string, number[]>;
  kept: Record<string, number[]>;
}

export interface SweepDocument {
  sources: string[];
  targets: string[];
  windows: WindowFacts[];
  value: Packed;
  before: number;
  word: string;
  ms: number;
}

export interface ColumnFacts {
  name: string;
  kind: "text" | "int" | "float" | "estimate";
  unit: string;
  /** It says what a row is of, not what was found. */
  condition: boolean;
}

export type TableCell = string | number | boolean | null | (number | null)[];

export interface TablePart {
  title: string;
  columns: ColumnFacts[];
  rows: TableCell[][];
}

export interface TableDocument {
  columns: ColumnFacts[];
  rows: TableCell[][];
  note: string;
  more: TablePart[];
  spread: { key: string; values: number[] }[];
}

export interface AskReply {
  run: string;
  sample: SampleDocument;
  answer: AnswerDocument;
}
