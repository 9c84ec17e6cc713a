import type { Unit } from "../documents";
import { h } from "../dom";
import type { Context, Said } from "../session/lens";
import type { Side } from "../session/readouts";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { UNITS, valueOf, visible } from "../words";

/** Characters of a sentence on each side of its word: fewer where two lenses share a card. */
const [AROUND, BESIDE] = [48, 24];

/** What a lens says at a token at the shown layer. */
interface Column {
  title: string;
  unit: Unit;
  said: readonly Said[];
}

/** A token in words: its place, what the lenses say at it, and the number that colours it. */
export function card(session: Session, token: number): HTMLElement[] {
  const { state } = session;
  const found = columnsOf(session, state, token);
  const around = found.length > 1 ? BESIDE : AROUND;
  const columns = found.map(({ title, unit, said }) =>
    h("span", { class: "column" }, h("small", {}, title), ...said.map((one) => entry(one, unit, around))),
  );
  const number = numberOf(session, state, token);
  return [
    h("strong", {}, nameOf(session, token)),
    ...(columns.length > 0 ? [h("span", { class: "columns" }, ...columns)] : []),
    ...(number === null ? [] : [h("span", {}, number)]),
  ];
}

/** The same for a screen reader. */
export function spoken(session: Session, token: number): string {
  const { state } = session;
  const columns = columnsOf(session, state, token).map(({ title, unit, said }) => {
    const words = said.map(({ word, value, context }) => `${word.trim()} ${valueOf(value, unit)}${context ? `, in "${sentence(context)}"` : ""}`);
    return `${title}: ${words.join(", ")}`;
  });
  return [nameOf(session, token), ...columns, numberOf(session, state, token)].filter(Boolean).join(". ");
}

function nameOf(session: Session, token: number): string {
  const { state, picture } = session;
  const marks = [state.tokens.has(token) && "selected", state.view === "lens" && state.follow === token && "followed"].filter(Boolean);
  return `${picture?.tokenName(token) ?? ""}${marks.length > 0 ? ` (${marks.join(", ")})` : ""}`;
}

function columnsOf(session: Session, state: State, token: number): Column[] {
  if (state.view !== "lens") return [];
  const { readouts } = session;
  const shown = { ...state, colouring: "top" } as const;
  return (["chosen", "other"] as const satisfies Side[]).flatMap((side) => {
    const lens = readouts.on(side, state)?.lens;
    const row = readouts.row(shown, side);
    if (!lens) return [];
    const title = `${lens.kind} lens, layer ${readouts.layer(shown)}: ${row < 0 ? "not read" : UNITS[lens.unit]}`;
    return [{ title, unit: lens.unit, said: row < 0 ? [] : lens.top(row, token) }];
  });
}

function entry({ word, value, context }: Said, unit: Unit, around: number): HTMLElement {
  if (context) return inContext(context, valueOf(value, unit), around);
  return h("span", {}, `${visible(word.trim() || word)} ${valueOf(value, unit)}`);
}

/** A sentence with the word in it emphasised, how near it is, and the layer of the text. */
export function inContext(context: Context, value: string, around = AROUND): HTMLElement {
  const { before, word, after, layer } = context;
  // Cut between words.
  const start = before.length > around ? `…${before.slice(-around).replace(/^\S*(?=\s)/, "")}` : before;
  const end = after.length > around ? `${after.slice(0, around).replace(/\s+\S*$/, "")}…` : after;
  return h("span", { class: "context" }, h("q", {}, start, h("em", {}, word), end), h("small", {}, ` ${value}, text layer ${layer}`));
}

function sentence({ before, word, after, layer }: Context): string {
  return `${before}${word}${after}", text layer ${layer}`;
}

function numberOf(session: Session, state: State, token: number): string | null {
  const { categories, readouts } = session;
  if (state.colouring === "category") return categories.name(state, token) ?? "no category";
  const quantity = readouts.quantity(state);
  if (!quantity || state.colouring === "top") return null;
  const value = quantity.values[readouts.row(state) * quantity.n + token] as number;
  return `${quantity.name}: ${valueWords(value, state.colouring)}`;
}

function valueWords(value: number, colouring: string): string {
  if (Number.isNaN(value) || (colouring === "rank" && value < 0)) return "not among the words kept";
  return colouring === "rank" ? `${value + 1}` : value.toPrecision(3);
}
