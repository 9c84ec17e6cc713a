import type { Session } from "../session/session";
import { pythonRanges } from "../state/ranges";
import type { State } from "../state/state";

/** A Python string literal: what JSON writes is one, and ASCII only. */
export function literal(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function opening(session: Session): string[] {
  const { manifest, sample } = session;
  const question = session.state.question || sample?.prompt?.text || session.asking.question;
  return [
    "import retinoscope as rs",
    "",
    `vlm = rs.load(${literal(manifest.model?.name ?? manifest.title)})`,
    `run = vlm.run(vlm.prompt("image.png", ${literal(question)}))  # put your image's path`,
  ];
}

const block = (lines: string[]) => `${lines.join("\n")}\n`;

function chosen(state: State): string {
  return state.tokens.size === 0 ? "run.image.tokens" : `run.image.at(${pythonRanges(state.tokens)})`;
}

export function answerPython(session: Session, state: State): string {
  return block([
    ...opening(session),
    "print(run.generate().text)",
    `tokens = ${chosen(state)}`,
    "effects = run.counterfactuals([rs.Ablate(tokens, rs.fill.zero())])",
    "print(effects.to_frame())",
  ]);
}

/** A kind of lens; one that was fitted is in a file. */
function kindPython(session: Session, kind: string): string {
  const fitted = session.manifest.lenses.some((one) => one.name === kind && one.command !== "");
  return fitted ? 'rs.lens.load("FILE")' : literal(kind);
}

export function lensPython(session: Session, state: State): string {
  const { readouts } = session;
  const layer = readouts.layer({ ...state, colouring: "top" });
  const lines = opening(session);
  for (const side of ["chosen", "other"] as const) {
    const kind = side === "chosen" ? readouts.kind(state) : readouts.versus(state);
    if (kind === null) continue;
    lines.push(`lens = run.lens(5, ${chosen(state)}, kind=${kindPython(session, kind)}, layers=[${layer}])`);
    const word = literal(state.word.trim());
    const near = readouts.on(side, state)?.lens?.unit === "similarity" ? "similarity" : "prob";
    if (state.word.trim() === "") lines.push("print(lens.tokens[0])");
    else lines.push(`print(lens.${near}(${word})[0])`, `print(lens.rank(${word})[0])`);
  }
  return block(lines);
}

export function attentionPython(session: Session, state: State): string {
  const layer = session.readouts.layer({ ...state, colouring: "attention" });
  const query = state.query < 0 ? '"last"' : `rs.tokens.TokenSet.of(run.sequence, [${state.query}])`;
  const heads = state.head === null ? "weights.sum(0)" : `weights[${state.head}]`;
  return block([
    ...opening(session),
    `weights = run.attention(${layer}, ${query})[:, 0]  # head, key`,
    `print(${heads}[list(${chosen(state)})])`,
  ]);
}

export function mapPython(session: Session): string {
  const study = session.manifest.studies.find((one) => one.views.includes("maps"));
  return block([
    "import retinoscope as rs",
    "",
    `results = rs.studies.open_results(${literal(`runs/${study?.id ?? ""}`)})  # the run directory`,
    `maps = rs.studies.read_categories(results.path, ${literal(session.sample?.id ?? "")})`,
    "print([one.name for one in maps])",
  ]);
}

export function studyPython(study: string): string {
  return block(["import retinoscope as rs", "", `results = rs.studies.open_results(${literal(`runs/${study}`)})  # the run directory`, "print(results.summary())"]);
}
